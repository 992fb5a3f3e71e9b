import { ManualClock, silentLogger } from '@forebay/kernel'
import { startRedis } from '@forebay/test-support'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type CountingWindows, openCountingWindows } from './counting-windows.ts'
import { makeLateCorrections } from './late-corrections.ts'

describe('counting windows', () => {
  it('count the same in Redis, also one that forgot its scripts, as in this process', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    for (const redisUrl of [undefined, redis.url]) {
      let failures = 0
      const windows = openCountingWindows({ redisUrl, logger: silentLogger, onError: () => failures++ })
      onTestFinished(() => windows.stop())
      await expect.poll(() => windows.add('t', { requests: 0 })).toBeDefined()
      failures = 0
      expect((await windows.add('t', { requests: 1, tokens: 50 }))?.tokens.used).toBe(50)
      const counted = await windows.add('t', { requests: 1, tokens: -20 })
      expect([counted?.requests.used, counted?.tokens.used, failures]).toEqual([2, 30, 0])
      expect(counted?.tokens.resetMs).toBeGreaterThan(0)
      expect(counted?.tokens.resetMs).toBeLessThanOrEqual(60_000)
      expect((await windows.add('other', { tokens: 1 }))?.tokens.used).toBe(1)
    }
  })
})

describe('late corrections', () => {
  it('travel as one sum per tenant, and not at all when their window has ended', async () => {
    const clock = new ManualClock()
    const added: [string, number][] = []
    const windows: CountingWindows = {
      add: async (key, points) => void added.push([key, Object.values<number>(points)[0] ?? 0]),
      stop: async () => {},
    }
    const corrections = makeLateCorrections({ windows, clock })
    const endsMs = clock.now() + 10_000
    for (const tokens of [-5, -7, 2]) corrections.add('a', tokens, endsMs)
    corrections.add('b', 3, endsMs)
    await clock.advance(100)
    expect(added).toEqual([
      ['a', -10],
      ['b', 3],
    ])
    corrections.add('a', -5, clock.now() + 50)
    corrections.add('b', 4, clock.now() + 50)
    corrections.add('c', -4, undefined)
    await clock.advance(100)
    expect(added.slice(2)).toEqual([['b', 4]])
    // What belongs to the next window is not mixed with the last one's.
    corrections.add('a', -5, clock.now() + 50)
    corrections.add('a', -6, clock.now() + 60_000)
    await clock.advance(100)
    expect(added.slice(3)).toEqual([
      ['a', -5],
      ['a', -6],
    ])
  })
})
