import { type Control, queueName, type ReplyFrame, type RequestJob, workJobSchema } from '@forebay/contracts'
import { silentLogger } from '@forebay/kernel'
import { JobReceiver, makeJsonCodec } from '@forebay/queue-core'
import { onTestFinished } from 'vitest'
import type { Harness } from './harness.ts'

type Part<T> = T extends unknown ? Omit<T, 'requestId' | 'attempt' | 'seq'> : never

/** Sends the frames of one attempt, numbered from 0 unless `seq` says otherwise. */
export type Send = (frame: Part<ReplyFrame> & { seq?: number }) => Promise<void>

/**
 * A worker that speaks jobs and frames as real ones do, and answers as the test says. It announces itself and its
 * models every second until the test ends.
 */
export async function startScriptedWorker(
  harness: Harness,
  options: { models: string[]; pool?: string; onJob: (job: RequestJob, send: Send) => Promise<void> | void },
) {
  const { bus, clock, queues } = harness
  const pool = options.pool ?? 'default'
  const jobs: RequestJob[] = []
  const controls: Control[] = []
  const stopControls = await bus.onControl((message) => controls.push(message))
  const announce = () =>
    bus.announce({
      workerId: options.pool === undefined ? 'w1' : `w1-${pool}`,
      pool,
      engine: 'scripted',
      engineUrl: 'http://127.0.0.1',
      models: options.models.map((id) => ({ id, contextTokens: null })),
      healthy: true,
      draining: false,
      inFlight: { realtime: 0, standard: 0, batch: 0 },
      inFlightMax: 8,
      tokensPerSecond: 0,
      atMs: clock.now(),
    })
  await announce()
  const stopAnnouncing = clock.every(1_000, () => void announce())
  const receivers = (['realtime', 'standard'] as const).map((lane) => {
    const receiver = new JobReceiver({
      driver: queues.queue(queueName(pool, lane)),
      codec: makeJsonCodec(workJobSchema),
      clock,
      logger: silentLogger,
      leaseMs: 30_000,
      maxAttempts: 10,
    })
    const loop = (async () => {
      for (;;) {
        const leased = await receiver.receive({ max: 10, waitMs: 60_000 })
        if (leased.length === 0) return
        for (const one of leased) {
          await receiver.settle(one, { kind: 'done' })
          if (one.job.kind !== 'request') continue
          const { job } = one
          jobs.push(job)
          let seq = 0
          const send: Send = (frame) =>
            bus.send(job.replyTo, {
              seq: seq++,
              ...frame,
              requestId: job.requestId,
              attempt: job.attempt,
            } as ReplyFrame)
          void options.onJob(job, send)
        }
      }
    })()
    return { receiver, loop }
  })
  const stop = async () => {
    stopAnnouncing()
    await stopControls()
    for (const { receiver, loop } of receivers) {
      await receiver.stop()
      await loop
    }
  }
  onTestFinished(stop)
  return { jobs, controls, stop }
}

/** Frames of a whole JSON answer. */
export async function answerJson(send: Send, body: unknown, status = 200): Promise<void> {
  await send({ type: 'accepted', workerId: 'w1' })
  await send({ type: 'head', status, contentType: 'application/json' })
  const text = JSON.stringify(body)
  const middle = Math.ceil(text.length / 2)
  await send({ type: 'data', text: text.slice(0, middle) })
  await send({ type: 'data', text: text.slice(middle) })
  await send({ type: 'end', usage: { promptTokens: 3, cachedTokens: null, completionTokens: 2, reasoningTokens: 0 } })
}

/** The text of a chunk event of a streamed chat. */
export function chunkEvent(content: string): string {
  const choices = [{ index: 0, delta: { content }, finish_reason: null }]
  return `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices })}\n\n`
}

/** The event that a stream's usage comes in. */
export const usageEvent = `data: ${JSON.stringify({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
})}\n\n`

/** A chat completion. */
export const chatAnswer = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
}
