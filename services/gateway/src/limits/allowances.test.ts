import { ManualClock, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { Allowances, type Counted } from './allowances.ts'
import { openCountingWindows } from './counting-windows.ts'
import type { Ask, CountingWindows, Window } from './window.ts'

/** A store that answers after some milliseconds, and gateways that share it. */
function makeStore(options: { latencyMs?: () => number } = {}) {
  const { latencyMs = () => 1 } = options
  const clock = new ManualClock()
  const own = openCountingWindows({ redisUrl: undefined, clock, logger: silentLogger, onError: () => {} })
  const store = { asked: 0, away: false }
  const windows: CountingWindows = {
    shared: true,
    async take<W extends Window>(key: string, asks: Readonly<Record<W, Ask>>) {
      store.asked++
      await clock.sleep(latencyMs())
      if (store.away) return undefined
      const taken = await own.take(key, asks)
      await clock.sleep(latencyMs())
      return taken
    },
    stop: async () => {},
  }
  const used = async () => {
    const none = { need: 0, spare: 0, owed: 0, of: 0, limit: 0 }
    const taken = await own.take('t', { requests: none, tokens: none })
    return { requests: taken?.requests.used, tokens: taken?.tokens.used }
  }
  const makeGateway = () => new Allowances({ windows, clock })
  return { clock, makeGateway, store, used }
}

function makeRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

it('lets in exactly what the limits allow at one gateway, most of it without asking', async () => {
  const { clock, makeGateway, store, used } = makeStore()
  const gateway = makeGateway()
  const limits = { requests: 1_000, tokens: 1_000_000 }
  let letIn = 0
  for (let i = 0; i < 1_500; i++) {
    const verdict = gateway.admit('t', 10, limits)
    await clock.advance(20)
    const { letIn: yes, requests } = (await verdict) ?? expect.fail('not counted')
    if (yes) letIn++
    // Told to the request, whatever was counted in advance.
    expect(requests.used).toBe(letIn)
  }
  expect(letIn).toBe(1_000)
  await clock.advance(3_000)
  expect(await used()).toEqual({ requests: 1_000, tokens: 10_000 })
  // 500 that were refused, and those of the last eighths asked one by one.
  expect(store.asked).toBeLessThan(500 + 250)
})

it.each([1, 2, 3, 4, 5])(
  'never exceeds a limit, with gateways that ask late and any pauses (seed %i)',
  async (seed) => {
    const random = makeRandom(seed)
    const { clock, makeGateway } = makeStore({ latencyMs: () => Math.floor(random() * 40) })
    const gateways = [makeGateway(), makeGateway(), makeGateway()]
    const limits = { requests: 300, tokens: 9_000 }
    const startMs = clock.now()
    const inWindow = new Map<number, Counted>()
    const pending: Promise<void>[] = []
    let refused = 0
    // Windows begin with the first request of each: with a pause between two they begin at known times.
    for (let window = 0; window < 3; window++) {
      const beganMs = clock.now()
      while (clock.now() < beganMs + 59_000) {
        const tokens = 1 + Math.floor(random() * 60)
        const gateway = gateways[Math.floor(random() * gateways.length)] ?? expect.fail()
        const asked = gateway.admit('t', tokens, limits).then((verdict) => {
          if (!verdict?.letIn) return void refused++
          // Some were estimated too high.
          const back = random() < 0.3 ? Math.floor(tokens / 2) : 0
          if (back > 0) gateway.correct('t', -back, verdict.window)
          const sum = inWindow.get(window) ?? { requests: 0, tokens: 0 }
          inWindow.set(window, { requests: sum.requests + 1, tokens: sum.tokens + tokens - back })
        })
        pending.push(asked)
        await clock.advance(random() < 0.02 ? 3_000 : Math.floor(random() * 120))
      }
      await clock.advance(2_000)
    }
    await Promise.all(pending)
    expect(clock.now() - startMs).toBeGreaterThan(180_000)
    expect(inWindow.size).toBe(3)
    for (const sum of inWindow.values()) {
      expect(sum.requests).toBeLessThanOrEqual(limits.requests)
      expect(sum.tokens).toBeLessThanOrEqual(limits.tokens)
      // Near its limit a window is used up but for what gateways had in advance.
      expect(Math.max(sum.requests / limits.requests, sum.tokens / limits.tokens)).toBeGreaterThan(0.8)
    }
    expect(refused).toBeGreaterThan(0)
  },
)

it('gives back what a tenant left unused, and tells of corrections, within three seconds', async () => {
  const { clock, makeGateway, used } = makeStore()
  const gateway = makeGateway()
  const limits = { requests: 10_000, tokens: 1_000_000 }
  let window = 0
  for (let i = 0; i < 50; i++) {
    const verdict = gateway.admit('t', 100, limits)
    await clock.advance(10)
    window = (await verdict)?.window ?? 0
  }
  expect((await used()).requests).toBeGreaterThan(50)
  gateway.correct('t', -1_000, window)
  gateway.correct('t', 30, window)
  // Of a window that is over: it took what was counted too much along.
  gateway.correct('t', -500, window - 60_000)
  await clock.advance(3_000)
  expect(await used()).toEqual({ requests: 50, tokens: 5_000 - 1_000 + 30 })
  gateway.correct('t', -70, window)
  await clock.advance(3_000)
  expect(await used()).toEqual({ requests: 50, tokens: 5_000 - 1_000 + 30 - 70 })
  const last = gateway.admit('t', 100, limits)
  await clock.advance(10)
  expect((await last)?.requests.used).toBe(51)
  const stopped = gateway.stop()
  await clock.advance(10)
  await stopped
  expect((await used()).requests).toBe(51)
})

it('asks for each request when they come one at a time, and lets all pass while the store is away', async () => {
  const { clock, makeGateway, store, used } = makeStore()
  const gateway = makeGateway()
  const limits = { requests: 100, tokens: 10_000 }
  for (let i = 1; i <= 5; i++) {
    const verdict = gateway.admit('t', 7, limits)
    await clock.advance(5_000)
    expect((await verdict)?.by).toBe('store')
    expect(await used()).toEqual({ requests: i, tokens: 7 * i })
  }
  expect(store.asked).toBe(5)
  store.away = true
  const passed = gateway.admit('t', 7, limits)
  await clock.advance(10)
  expect(await passed).toBeUndefined()
})
