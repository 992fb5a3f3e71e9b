import { makeBusyTime } from './busy-time.ts'
import { type EngineSeats, makeEngineSeats } from './engine-seats.ts'
import type { BatcherOptions } from './gate.ts'
import { type LatencyRule, makeLatencyRule } from './latency-rule.ts'
import { type LearnedLengths, makeLearnedLengths } from './learned-lengths.ts'
import { type LiveLoad, makeLiveLoad } from './live-load.ts'
import { makePrefillPace, type PrefillPace } from './prefill-pace.ts'
import type { EngineSample } from './request.ts'
import { makeRunningRequests, type RunningRequests, sumOf } from './running-requests.ts'
import { makeStepCost, type StepCost } from './step-cost.ts'
import { makeStepWindows } from './step-windows.ts'
import { makeTokenBudget, type TokenBudget } from './token-budget.ts'

/** What the batcher knows of its engine: what runs there, and what was learned of it. */
export interface EngineView {
  readonly options: BatcherOptions
  readonly running: RunningRequests
  readonly lengths: LearnedLengths
  readonly budget: TokenBudget
  readonly cost: StepCost
  readonly pace: PrefillPace
  readonly live: LiveLoad
  readonly rule: LatencyRule
  readonly seats: EngineSeats
  /** Live requests whose first token is to be seen: since when they are here, in the order in which they came. */
  readonly pending: Map<string, number>
  /** The engine's last word of itself. */
  readonly sample: EngineSample | undefined
  /** Something runs there from now on, or nothing does. */
  noteBusy(nowMs: number): void
  observe(sample: EngineSample): void
}

/** Knows nothing yet. */
export function makeEngineView(options: BatcherOptions): EngineView {
  const [budget, cost, pace] = [makeTokenBudget(), makeStepCost(), makePrefillPace()]
  const live = makeLiveLoad()
  const seats = makeEngineSeats(options.seats)
  const running = makeRunningRequests()
  const [busy, windows] = [makeBusyTime(), makeStepWindows()]
  let sample: EngineSample | undefined
  return {
    options,
    running,
    lengths: makeLearnedLengths(),
    budget,
    cost,
    pace,
    live,
    rule: makeLatencyRule({ objective: options.objective ?? {}, cost, pace }),
    seats,
    pending: new Map(),
    get sample() {
      return sample
    },
    noteBusy: (nowMs) => busy.note(nowMs, sumOf(running.count) > 0),
    observe(next) {
      sample = next
      budget.observe(next, sumOf(running.tokens))
      seats.observe(next, {
        inFlight: sumOf(running.count),
        live: live.isRecent(next.atMs),
        prefilling: pace.underWay(next.atMs),
        overdue: pace.overdue(next.atMs),
      })
      const window = windows.observe(next, busy.take(next.atMs))
      if (window) cost.observe(window)
    },
  }
}
