import type { Usage } from '@forebay/contracts'

// Before anything was measured: a model this slow is still given its time.
const msPerTokenAtFirst = 100
const msPerPromptToken = 1
// How far beyond what was measured an answer may take, and how much further on each next attempt.
const patience = 10
const patiencePerAttempt = 4
const limitMaxMs = 6 * 3_600_000

/**
 * How long to wait for an answer that shows no progress until it is whole: ten times what the engine lately took per
 * output token, and four times more on each further attempt, so that a long answer is not cut for ever.
 */
export interface TimeLimits {
  limitMs(expected: { promptTokens: number; outputTokens: number }, attemptsBefore: number): number
  /** How long an answer should take, going by those before it; undefined before the first. */
  expectedMs(expected: { outputTokens: number }): number | undefined
  learn(durationMs: number, usage: Usage): void
}

/** `floorMs`: no limit is shorter. */
export function makeTimeLimits(options: { floorMs: number }): TimeLimits {
  let msPerToken: number | undefined
  return {
    limitMs({ promptTokens, outputTokens }, attemptsBefore) {
      const expectedMs = promptTokens * msPerPromptToken + outputTokens * (msPerToken ?? msPerTokenAtFirst)
      const limit = Math.max(options.floorMs, patience * expectedMs) * patiencePerAttempt ** attemptsBefore
      return Math.min(limitMaxMs, Math.ceil(limit))
    },
    expectedMs: ({ outputTokens }) => (msPerToken === undefined ? undefined : Math.ceil(outputTokens * msPerToken)),
    learn(durationMs, usage) {
      const sample = durationMs / Math.max(1, usage.completionTokens)
      msPerToken = msPerToken === undefined ? sample : msPerToken + 0.1 * (sample - msPerToken)
    },
  }
}
