import { expect, it } from 'vitest'
import { makeLatencyRule, type StepOutlook } from './latency-rule.ts'
import { makePrefillPace } from './prefill-pace.ts'
import type { StepCost } from './step-cost.ts'

// What the rule reckons with: 10 ms and 0.02 ms per prompt token.
const cost: StepCost = {
  baseMs: 10,
  perRequestMs: 0,
  perPrefillTokenMs: 0.02,
  stepMs: (_, tokens) => 10 + 0.02 * tokens,
  observe: () => {},
}

function setUp() {
  const rule = makeLatencyRule({ objective: { ttftP99Ms: 200 }, cost, pace: makePrefillPace() })
  let nowMs = 1_000_000
  const outlook = (): StepOutlook => ({
    nowMs,
    requests: 1,
    pendingSinceMs: undefined,
    livePerSecond: 0.5,
    quiet: true,
  })
  /** A prompt as long as there is room for, and a live request that comes just behind it and waits for so long. */
  const besideLongest = (waitMs: number) => {
    nowMs += 1_000
    rule.sent(outlook(), rule.room(outlook()))
    rule.firstToken(nowMs + 1, nowMs + 1 + waitMs, 100)
  }
  /** A live request with nothing before it. */
  const alone = () => {
    nowMs += 10_000
    rule.firstToken(nowMs, nowMs + 30, 100)
  }
  return { rule, room: () => rule.room(outlook()), besideLongest, alone }
}

it('gives long prompts less of the objective when live requests are late beside them, reckoned to be late or not', () => {
  const { besideLongest, room } = setUp()
  const first = room()
  for (let i = 0; i < 60; i++) besideLongest(400)
  expect(room()).toBeLessThan(first / 4)
})

it('gives it back when they are in time', () => {
  const { alone, besideLongest, room } = setUp()
  const first = room()
  for (let i = 0; i < 20; i++) besideLongest(400)
  const low = room()
  for (let i = 0; i < 2_000; i++) {
    besideLongest(60)
    alone()
  }
  expect(low).toBeLessThan(first)
  expect(room()).toBeGreaterThan(low)
})
