import type { AnswerCheck } from '@forebay/contracts'
import { describeError } from '@forebay/kernel'
import { compileCheck, type FitsNot } from '@forebay/quality'

const checksMax = 64

/** A check that answers can be held against. */
export interface UsableCheck {
  readonly fitsNot: FitsNot
  readonly retriesMax: number
}

/** The compiled checks of the batches that run here. */
export interface CheckBook {
  use(check: AnswerCheck): UsableCheck
}

/** A book that keeps those used last. A check that cannot be compiled here lets nothing through. */
export function makeCheckBook(): CheckBook {
  const known = new Map<string, UsableCheck>()
  return {
    use(check) {
      const key = JSON.stringify(check)
      const usable = known.get(key) ?? { fitsNot: compile(check), retriesMax: check.max_retries }
      known.delete(key)
      known.set(key, usable)
      const [oldest] = known.keys()
      if (known.size > checksMax && oldest !== undefined) known.delete(oldest)
      return usable
    },
  }
}

function compile(check: AnswerCheck): FitsNot {
  try {
    return compileCheck(check)
  } catch (err) {
    // It was compiled when the batch was submitted: another version of us, or a machine that is far too busy.
    const fault = `The check cannot be used: ${describeError(err)}`
    return () => fault
  }
}
