import { describe, expect, it } from 'vitest'
import { attemptDelaysMs, parseRetryAfter, retryDelayMs } from './retry-schedule.ts'

describe('retryDelayMs', () => {
  it('follows the schedule, adding up to a fifth and taking nothing off', () => {
    for (let attempt = 1; attempt < attemptDelaysMs.length; attempt++) {
      const base = attemptDelaysMs[attempt] ?? 0
      expect(retryDelayMs(attempt, { random: () => 0 })).toBe(base)
      expect(retryDelayMs(attempt, { random: () => 0.999 })).toBeLessThanOrEqual(base * 1.2)
    }
  })

  it('ends after the last attempt', () => {
    expect(retryDelayMs(attemptDelaysMs.length, { random: () => 0 })).toBeUndefined()
    expect(retryDelayMs(attemptDelaysMs.length + 1, { random: () => 0 })).toBeUndefined()
  })

  it('lets Retry-After lengthen a wait, never shorten it, and for a day at most', () => {
    expect(retryDelayMs(1, { retryAfterMs: 60_000, random: () => 0 })).toBe(60_000)
    expect(retryDelayMs(1, { retryAfterMs: 1_000, random: () => 0 })).toBe(5_000)
    expect(retryDelayMs(1, { retryAfterMs: 1e12, random: () => 0 })).toBe(86_400_000)
  })
})

describe('parseRetryAfter', () => {
  it('reads seconds and dates, and nothing else', () => {
    const nowMs = Date.parse('2026-01-01T00:00:00Z')
    expect(parseRetryAfter('120', nowMs)).toBe(120_000)
    expect(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', nowMs)).toBe(60_000)
    expect(parseRetryAfter('soon', nowMs)).toBeUndefined()
    expect(parseRetryAfter(undefined, nowMs)).toBeUndefined()
  })
})
