import type { EngineSample } from './request.ts'
import type { StepWindow } from './step-cost.ts'

/** Makes of the engine's counts, looked at now and then, stretches that tell how long its steps are. */
export interface StepWindows {
  /**
   * The next look, `busyMs` of the time since the last of which the engine had work. Answers a window once enough
   * steps are in it.
   */
  observe(next: EngineSample, busyMs: number): StepWindow | undefined
}

// A look falls into the middle of a step: of so many steps, that is little. Looks are put together until there are so
// many, instead of using those only between which there were: long steps would never be learned from.
const stepsMin = 8

interface Sums {
  busyMs: number
  steps: number
  generated: number
  prefilled: number
}

const nothing = (): Sums => ({ busyMs: 0, steps: 0, generated: 0, prefilled: 0 })

/** Starts with nothing seen. */
export function makeStepWindows(): StepWindows {
  let before: EngineSample | undefined
  let sums = nothing()
  return {
    observe(next, busyMs) {
      const between = before && !next.countsAtEnd ? sumsBetween(before, next, busyMs) : undefined
      before = next
      if (!between) {
        sums = nothing()
        return undefined
      }
      const { generated, prefilled, steps } = sums
      sums = {
        busyMs: sums.busyMs + between.busyMs,
        steps: steps + between.steps,
        generated: generated + between.generated,
        prefilled: prefilled + between.prefilled,
      }
      if (sums.steps < stepsMin) return undefined
      const whole = sums
      sums = nothing()
      return {
        stepMs: whole.busyMs / whole.steps,
        running: whole.generated / whole.steps,
        prefillTokens: whole.prefilled / whole.steps,
      }
    },
  }
}

/** Undefined when the engine is another than before. */
function sumsBetween(before: EngineSample, after: EngineSample, busyMs: number): Sums | undefined {
  const generated = after.generationTokens - before.generationTokens
  const cached = Math.max(0, after.cachedTokens - before.cachedTokens)
  const prefilled = Math.max(0, after.promptTokens - before.promptTokens - cached)
  if (generated < 0) return undefined
  if (after.steps !== null && before.steps !== null) {
    const steps = after.steps - before.steps
    return steps < 0 ? undefined : { busyMs, steps, generated, prefilled }
  }
  // Each running request gains a token a step; of an engine that was idle in between, that cannot be used.
  if (before.running === 0 || after.running === 0) return nothing()
  return { busyMs, steps: generated / Math.max(1, (before.running + after.running) / 2), generated, prefilled }
}
