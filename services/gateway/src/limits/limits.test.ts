import { ManualClock, silentLogger, systemClock } from '@forebay/kernel'
import { startRedis } from '@forebay/test-support'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openCountingWindows } from './counting-windows.ts'
import type { Ask } from './window.ts'

const ask = (given: Partial<Ask>): Ask => ({ need: 0, spare: 0, owed: 0, of: 0, limit: 100, ...given })

describe('counting windows', () => {
  it('count the same in Redis, also one that forgot its scripts, as in this process', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    for (const redisUrl of [undefined, redis.url]) {
      let failures = 0
      const windows = openCountingWindows({
        ...{ redisUrl, clock: systemClock, logger: silentLogger, onError: () => failures++ },
      })
      onTestFinished(() => windows.stop())
      await expect.poll(() => windows.take('t', { requests: ask({}) }), { timeout: 10_000 }).toBeDefined()
      failures = 0
      const take = async (requests: Partial<Ask>, tokens: Partial<Ask>) => {
        const taken = await windows.take('t', { requests: ask(requests), tokens: ask(tokens) })
        if (!taken) throw new Error('not counted')
        expect(taken.tokens.resetMs).toBeGreaterThan(0)
        expect(taken.tokens.resetMs).toBeLessThanOrEqual(60_000)
        const { requests: one, tokens: other } = taken
        return { counts: [one.granted, one.used, other.granted, other.used], of: other.window }
      }
      expect((await take({ need: 1 }, { need: 50 })).counts).toEqual([1, 1, 50, 50])
      // All of it or nothing.
      expect((await take({ need: 1 }, { need: 51 })).counts).toEqual([0, 1, 0, 50])
      // An eighth of what is left beside the need may be spare: of 98 requests, and of 40 tokens.
      const { counts, of } = await take({ need: 1, spare: 500 }, { need: 10, spare: 3 })
      expect(counts).toEqual([13, 14, 13, 63])
      // What is owed is counted in any case; what is given back only if the window is still the same.
      expect((await take({}, { owed: 60 })).counts).toEqual([0, 14, 0, 123])
      expect((await take({}, { owed: -60, of })).counts).toEqual([0, 14, 0, 63])
      expect((await take({}, { owed: -60, of: of - 60_000 })).counts).toEqual([0, 14, 0, 63])
      expect((await windows.take('other', { tokens: ask({ owed: -5, of }) }))?.tokens.used).toBe(0)
      expect((await windows.take('other', { tokens: ask({ need: 101 }) }))?.tokens).toMatchObject({
        granted: 0,
        used: 0,
      })
      expect(failures).toBe(0)
    }
  })

  it('end with their time in this process', async () => {
    const clock = new ManualClock()
    const windows = openCountingWindows({ redisUrl: undefined, clock, logger: silentLogger, onError: () => {} })
    await windows.take('t', { requests: ask({ need: 90 }) })
    await clock.advance(59_999)
    expect((await windows.take('t', { requests: ask({}) }))?.requests).toMatchObject({ used: 90, resetMs: 1 })
    await clock.advance(1)
    expect((await windows.take('t', { requests: ask({ need: 1 }) }))?.requests).toMatchObject({ used: 1 })
  })
})
