import { ManualClock, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { defaultTuning } from '../tuning.ts'
import type { EngineClient } from './engine-client.ts'
import { EngineMonitor } from './engine-monitor.ts'

/** A vLLM on simulated time that looks healthy: `tokens` are what it has made, a canary gets through while `canary`. */
function setUp(inFlight = () => 3) {
  const clock = new ManualClock()
  const engine = { tokens: 0, canary: true, canaries: 0, health: 200 }
  const client: Pick<EngineClient, 'ask'> = {
    async ask(path, { timeoutMs = 3_000 } = {}) {
      const page = (text: string, status = 200) => ({ status, headers: {}, text })
      if (path === '/v1/models') return page('{"data":[{"id":"m","owned_by":"vllm"}]}')
      if (path === '/metrics') {
        return page(`vllm:num_requests_running 0\nvllm:generation_tokens_total ${engine.tokens}\n`)
      }
      if (path !== '/v1/chat/completions') return page('', engine.health)
      engine.canaries++
      if (engine.canary) return page('{}')
      await clock.sleep(timeoutMs)
      throw new Error('no answer in time')
    },
  }
  const states: { at: number; state: string }[] = []
  const startMs = clock.now()
  const monitor = new EngineMonitor({
    client,
    clock,
    logger: silentLogger,
    inFlight,
    stallMs: defaultTuning.stallMs,
    onSample: () => {},
    onChange: (state) => states.push({ at: clock.now() - startMs, state: state.up ? 'up' : state.why }),
  })
  monitor.start()
  const stop = async () => {
    const stopped = monitor.stop()
    await clock.advance(60_000)
    await stopped
  }
  return { clock, engine, states, stop }
}

it('takes an engine for wedged within 30 s of its last token, however healthy it says it is', async () => {
  const { clock, engine, states, stop } = setUp()
  await clock.advance(1_000)
  engine.tokens = 50
  await clock.advance(1_000)
  engine.canary = false
  await clock.advance(30_000)
  expect(states.map(({ state }) => state)).toEqual(['up', 'wedged'])
  expect(states[1]?.at).toBeLessThanOrEqual(32_000)
  await clock.advance(60_000)
  expect(states).toHaveLength(2)
  engine.canary = true
  await clock.advance(20_000)
  expect(states.at(-1)?.state).toBe('up')
  await stop()
})

it('leaves an engine in peace that makes no token for long, but one for a canary', async () => {
  const { clock, engine, states, stop } = setUp()
  await clock.advance(120_000)
  expect(states.map(({ state }) => state)).toEqual(['up'])
  expect(engine.canaries).toBeGreaterThan(3)
  await stop()
})

it('sends no canary while tokens come, or while nothing is in flight', async () => {
  const idle = setUp(() => 0)
  await idle.clock.advance(120_000)
  expect(idle.engine.canaries).toBe(0)
  await idle.stop()
  const busy = setUp()
  for (let i = 0; i < 12; i++) {
    busy.engine.tokens++
    await busy.clock.advance(10_000)
  }
  expect(busy.engine.canaries).toBe(0)
  await busy.stop()
})

it('takes an engine down after two looks without an answer', async () => {
  const { clock, engine, states, stop } = setUp()
  await clock.advance(1_000)
  engine.health = 503
  await clock.advance(10_000)
  expect(states.map(({ state }) => state).slice(0, 2)).toEqual(['up', 'silent'])
  expect(states[1]?.at).toBeLessThanOrEqual(6_000)
  await stop()
})
