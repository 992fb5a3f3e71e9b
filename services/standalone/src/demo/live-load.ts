import type { Clock } from '@forebay/kernel'
import { request } from 'undici'

export interface Latency {
  p50Ms: number
  p99Ms: number
}

export interface LiveLoad {
  /** Ends the phase: waits for what is under way and gives its times to the first token. */
  end(): Promise<Latency & { requests: number; failed: number }>
  count(): number
  /** Sends no more; for when nobody asks for the times. Safe to repeat. */
  stop(): void
}

/**
 * Streams chat requests at a steady rate, whether or not earlier ones have ended (an open loop: a slow answer does not
 * thin the load out), and takes the time from sending to the first token of each.
 */
export function startLiveLoad(options: {
  url: string
  apiKey: string
  model: string
  ratePerSecond: number
  clock: Clock
}): LiveLoad {
  const { clock } = options
  const times: number[] = []
  const underWay = new Set<Promise<void>>()
  let sent = 0
  let failed = 0
  const send = () => {
    sent++
    const one: Promise<void> = firstTokenMs({ ...options, question: sent })
      .then((ms) => void times.push(ms))
      .catch(() => void failed++)
      .finally(() => underWay.delete(one))
    underWay.add(one)
  }
  const stop = clock.every(1000 / options.ratePerSecond, send)
  return {
    count: () => sent,
    stop,
    end: async () => {
      stop()
      await Promise.all(underWay)
      return { p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99), requests: times.length, failed }
    },
  }
}

async function firstTokenMs(options: {
  url: string
  apiKey: string
  model: string
  clock: Clock
  question: number
}): Promise<number> {
  const startedMs = performance.now()
  const response = await request(`${options.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${options.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: options.model,
      stream: true,
      max_tokens: 24,
      messages: [{ role: 'user', content: `Question ${options.question}: what is a forebay?` }],
    }),
  })
  let firstMs: number | undefined
  let text = ''
  for await (const piece of response.body) {
    text += String(piece)
    if (firstMs === undefined && /"content":"[^"]/.test(text)) firstMs = performance.now() - startedMs
  }
  if (response.statusCode !== 200 || firstMs === undefined || !text.includes('[DONE]'))
    throw new Error(`live request ended with ${response.statusCode}`)
  return firstMs
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
  return Math.round(value * 10) / 10
}
