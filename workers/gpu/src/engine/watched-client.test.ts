import { ManualClock, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import type { EngineCall } from './engine-client.ts'
import { makeWatchedClient } from './watched-client.ts'

it('cuts a call that hangs in an engine whose counts agree and whose tokens go to others, once only', async () => {
  const clock = new ManualClock()
  const hang = (call: EngineCall) =>
    new Promise<never>((_, reject) => {
      call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true })
    })
  const client = makeWatchedClient({
    client: { call: hang, stream: hang },
    clock,
    logger: silentLogger,
    lostMs: 20_000,
  })
  const ask = () =>
    client.call({
      ...{ requestId: 'r', path: '/v1/completions', body: Buffer.from('{}'), model: 'm', lane: 'batch', tenantId: 't' },
      ...{ deadlineMs: clock.now() + 3_600_000, limitMs: 60_000, outputTokens: 20 },
      signal: new AbortController().signal,
    })
  let generationTokens = 0
  const looks = async (seconds: number) => {
    for (let at = 0; at < seconds; at++) {
      await clock.advance(1_000)
      // It tells of one request: as many as are waited for here.
      generationTokens += 50
      const counts = { running: 1, waiting: 0, preemptions: 0, promptTokens: 0, cachedTokens: 0, generationTokens }
      client.observe({ atMs: clock.now(), kvUsage: null, kvTokens: null, steps: null, ...counts })
    }
  }
  let ended = 0
  const first = ask().finally(() => ended++)
  await looks(19)
  expect(ended).toBe(0)
  await looks(5)
  expect(await first).toMatchObject({ kind: 'failure', reason: 'timeout', status: 504 })
  void ask().finally(() => ended++)
  await looks(40)
  expect(ended).toBe(1)
})
