import { type Clock, describeError, eitherSignal } from '@forebay/kernel'
import { z } from 'zod'

/** Where an engine is, without /v1 at the end. */
export interface EngineAddress {
  url: string
  apiKey: string | undefined
}

const answerSchema = z.looseObject({
  usage: z.looseObject({ prompt_tokens: z.number(), completion_tokens: z.number() }).optional(),
})

/** Asks for one whole chat completion and times it. `why` is null when it succeeded; it does not throw for a failure. */
export async function askEngine(options: {
  engine: EngineAddress
  body: object
  clock: Clock
  signal: AbortSignal
}): Promise<{ ms: number; promptTokens: number; outputTokens: number; why: string | null }> {
  const { body, clock, engine, signal } = options
  const startedMs = clock.now()
  const failed = (why: string) => ({ ms: clock.now() - startedMs, promptTokens: 0, outputTokens: 0, why })
  try {
    const headers = { 'content-type': 'application/json', ...authorization(engine) }
    const request = { method: 'POST', headers, body: JSON.stringify(body), signal }
    const response = await fetch(`${engine.url}/v1/chat/completions`, request)
    const text = await response.text()
    if (!response.ok) return failed(`status ${response.status}, ${text.slice(0, 300)}`)
    const { usage } = answerSchema.parse(JSON.parse(text))
    const ms = clock.now() - startedMs
    return { ms, promptTokens: usage?.prompt_tokens ?? 0, outputTokens: usage?.completion_tokens ?? 0, why: null }
  } catch (err) {
    if (signal.aborted) throw signal.reason
    return failed(describeError(err))
  }
}

/** A page of the engine and whether a simulator answered; undefined when there is none. */
export async function readPage(engine: EngineAddress, url: string, signal: AbortSignal) {
  const within = eitherSignal(signal, AbortSignal.timeout(5_000))
  try {
    const response = await fetch(url, { headers: authorization(engine), signal: within.signal })
    const simulated = response.headers.get('x-engine-sim') !== null
    return response.ok ? { text: await response.text(), simulated } : undefined
  } catch {
    signal.throwIfAborted()
    return undefined
  } finally {
    within.release()
  }
}

function authorization({ apiKey }: EngineAddress): Record<string, string> {
  return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
}
