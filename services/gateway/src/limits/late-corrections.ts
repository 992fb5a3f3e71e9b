import type { Clock } from '@forebay/kernel'
import type { CountingWindows } from './counting-windows.ts'

/** Corrections of token counts, summed per tenant and sent late. */
export interface LateCorrections {
  /** `windowEndsMs`: when the window ends that the tokens were counted in; undefined when that is not known. */
  add(tenantId: string, tokens: number, windowEndsMs: number | undefined): void
}

interface Sum {
  tokens: number
  windowEndsMs: number | undefined
}

const sendEveryMs = 100
// Two looks at one window's end differ by what the calls took.
const sameWindowMs = 1_000

/**
 * A request's tokens are counted by an estimate and corrected when it ends. The corrections of a tenant are summed and
 * sent at most every 100 ms, so that under load they cost the store next to nothing.
 */
export function makeLateCorrections(options: { windows: CountingWindows; clock: Clock }): LateCorrections {
  const { clock, windows } = options
  const sums = new Map<string, Sum>()
  let waiting = false

  const send = (tenantId: string, { tokens, windowEndsMs }: Sum) => {
    // A window that has ended took the estimates with it: nothing of them is left to give back.
    if (tokens < 0 && (windowEndsMs === undefined || clock.now() >= windowEndsMs)) return
    if (tokens !== 0) void windows.add(tenantId, { tokens })
  }
  const sendAll = () => {
    waiting = false
    for (const [tenantId, sum] of sums) send(tenantId, sum)
    sums.clear()
  }

  return {
    add(tenantId, tokens, windowEndsMs) {
      const sum = sums.get(tenantId)
      if (sum && Math.abs((sum.windowEndsMs ?? 0) - (windowEndsMs ?? 0)) <= sameWindowMs) sum.tokens += tokens
      else {
        if (sum) send(tenantId, sum)
        sums.set(tenantId, { tokens, windowEndsMs })
      }
      if (waiting) return
      waiting = true
      clock.after(sendEveryMs, sendAll)
    },
  }
}
