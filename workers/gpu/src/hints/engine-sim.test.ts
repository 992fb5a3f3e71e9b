import { type EngineSim, type EngineSimOptions, startEngineSim } from '@forebay/engine-sim'
import { silentLogger, systemClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { type EngineCall, openEngineClient } from '../engine/engine-client.ts'
import { line, makeBench } from '../testing/bench.ts'
import { HintingClient } from './hinting-client.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function engine(options: EngineSimOptions): Promise<EngineSim> {
  const sim = await startEngineSim(options)
  cleanups.push(() => sim.stop())
  return sim
}

it('lets a live request pass the batch requests that wait inside the engine', async () => {
  const sim = await engine({ profile: 'laptop', speed: 20, maxNumSeqs: 1, schedulingPolicy: 'priority' })
  const clock = systemClock
  const client = openEngineClient({ url: sim.url, connections: 8, idleMs: 10_000, clock })
  cleanups.push(() => client.stop())
  const hinting = new HintingClient({
    client,
    clock,
    logger: silentLogger,
    kind: () => 'engine-sim',
    secret: 'a secret of sixteen',
  })
  const leave = new AbortController()
  const order: string[] = []
  const ask = async (
    requestId: string,
    lane: EngineCall['lane'],
    tokens: number,
    signal = new AbortController().signal,
  ) => {
    const body = { messages: [{ role: 'user', content: requestId }], max_tokens: tokens, ignore_eos: true }
    const deadlineMs = clock.now() + 600_000
    const sent = {
      requestId,
      lane,
      signal,
      path: '/v1/chat/completions',
      tenantId: 'acme',
      deadlineMs,
      model: 'forebay-sim',
      limitMs: 30_000,
      outputTokens: 16,
    }
    await hinting.call({ ...sent, body: Buffer.from(JSON.stringify(body)) })
    order.push(requestId)
  }
  const holder = ask('holder', 'batch', 4_000, leave.signal).catch(() => undefined)
  await eventually(() => sim.running === 1, { what: 'the only seat to be taken' })
  const waiting = [ask('batch', 'batch', 3)]
  await eventually(() => sim.waiting === 1, { what: 'the batch request to wait' })
  waiting.push(ask('standard', 'standard', 3))
  await eventually(() => sim.waiting === 2, { what: 'the standard request to wait' })
  waiting.push(ask('live', 'realtime', 3))
  await eventually(() => sim.waiting === 3, { what: 'the live request to wait' })
  leave.abort()
  await Promise.all([holder, ...waiting])
  expect(order).toEqual(['live', 'standard', 'batch'])
})

it.each([
  ['auto', false],
  ['off', true],
] as const)('through a worker with hints %s, tenants find each other’s prefixes cached: %s', async (hints, shared) => {
  const sim = await engine({ profile: 'laptop', speed: 1_000 })
  const bench = await makeBench({ FOREBAY_ENGINE_HINTS: hints })
  cleanups.push(() => bench.stop())
  await bench.worker(sim.url)
  const text = 'A long shared beginning. '.repeat(20)
  const cachedOf = async (tenantId: string, batchId: string) => {
    await bench.release([line('c', text)], { tenantId, batchId })
    await eventually(() => bench.results.some((result) => result.batchId === batchId), {
      what: `the result of ${batchId}`,
    })
    return bench.results.find((result) => result.batchId === batchId)?.usage.cachedTokens
  }
  expect(await cachedOf('acme', 'batch_1')).toBe(0)
  expect(await cachedOf('acme', 'batch_2')).toBeGreaterThan(0)
  const foreign = await cachedOf('other', 'batch_3')
  if (shared) expect(foreign).toBeGreaterThan(0)
  else expect(foreign).toBe(0)
})
