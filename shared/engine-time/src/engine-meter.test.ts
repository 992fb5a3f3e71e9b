import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeEngineMeter } from './engine-meter.ts'

const usage = (completionTokens: number, promptTokens = 100) => ({ promptTokens, completionTokens })

describe('the engine meter', () => {
  it('loses and doubles no microsecond, whatever happens in whatever order: shares, idle and unfinished are the wall time', () => {
    const step = fc.record({
      what: fc.constantFrom('begin', 'firstToken', 'leave', 'settle', 'abandon', 'take'),
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      ms: fc.integer({ min: -50, max: 5_000 }),
      tokens: fc.integer({ min: 0, max: 100_000 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 16 }), (steps, gpus) => {
        const startMs = 1_700_000_000_123
        const meter = makeEngineMeter({ gpus, startMs })
        let nowMs = startMs
        let latestMs = startMs
        let told = 0
        let untilMs = startMs
        const take = () => {
          const interval = meter.takeInterval(nowMs)
          expect(interval.fromMs).toBe(untilMs)
          untilMs = interval.toMs
          told += interval.idleMicros + interval.unfinishedMicros
        }
        for (const { id, ms, tokens, what } of steps) {
          nowMs += ms
          latestMs = Math.max(latestMs, nowMs)
          if (what === 'begin') meter.begin(id, tokens, nowMs)
          else if (what === 'settle') told += meter.settle(id, tokens % 2 ? usage(tokens) : null, nowMs)
          else if (what === 'take') take()
          else meter[what](id, nowMs)
        }
        nowMs = latestMs
        for (const id of ['a', 'b', 'c', 'd', 'e']) meter.abandon(id, nowMs)
        take()
        expect(told).toBe((latestMs - startMs) * 1000 * gpus)
      }),
      { numRuns: 300 },
    )
  })

  it('gives all the time of an only request to it, on every GPU, and the rest to nobody', () => {
    const meter = makeEngineMeter({ gpus: 2, startMs: 0 })
    meter.begin('a', 100, 1_000)
    expect(meter.settle('a', usage(10), 3_500)).toBe(5_000_000)
    expect(meter.takeInterval(4_000)).toEqual({ fromMs: 0, toMs: 4_000, idleMicros: 3_000_000, unfinishedMicros: 0 })
  })

  it('gives equal shares to those that decode together', () => {
    const meter = makeEngineMeter({ gpus: 1, startMs: 0 })
    for (const id of ['a', 'b']) {
      meter.begin(id, 10, 0)
      meter.firstToken(id, 0)
    }
    expect(meter.settle('a', usage(10), 1_000)).toBe(500_000)
    expect(meter.settle('b', usage(30), 3_000)).toBe(2_500_000)
  })

  it('gives one that reads a long prompt more than one that decodes beside it', () => {
    const meter = makeEngineMeter({ gpus: 1, startMs: 0 })
    meter.begin('short', 1, 0)
    meter.firstToken('short', 0)
    meter.begin('long', 4_000, 0)
    meter.firstToken('long', 1_000)
    const short = meter.settle('short', usage(30), 1_000)
    expect(short).toBeLessThan(50_000)
    expect(short + meter.settle('long', usage(1), 1_000)).toBe(1_000_000)
  })

  it('keeps what failed attempts took on the account of their request', () => {
    const meter = makeEngineMeter({ gpus: 1, startMs: 0 })
    meter.begin('a', 1, 0)
    meter.leave('a', 400)
    meter.begin('a', 1, 600)
    expect(meter.settle('a', usage(1), 1_000)).toBe(800_000)
    expect(meter.takeInterval(1_000).idleMicros).toBe(200_000)
  })

  it('tells what requests without a result took as unfinished, once', () => {
    const meter = makeEngineMeter({ gpus: 1, startMs: 0 })
    meter.begin('a', 1, 0)
    meter.abandon('a', 250)
    meter.abandon('a', 300)
    expect(meter.settle('a', null, 300)).toBe(0)
    expect(meter.takeInterval(300)).toMatchObject({ idleMicros: 50_000, unfinishedMicros: 250_000 })
    expect(meter.takeInterval(300)).toMatchObject({ fromMs: 300, idleMicros: 0, unfinishedMicros: 0 })
  })
})
