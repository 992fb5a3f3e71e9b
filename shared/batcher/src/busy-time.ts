/** How long the engine has had work. */
export interface BusyTime {
  /** From now on it has work, or has none. */
  note(nowMs: number, busy: boolean): void
  /** Milliseconds with work since this was last asked. */
  take(nowMs: number): number
}

/** Starts without work. */
export function makeBusyTime(): BusyTime {
  let sumMs = 0
  let sinceMs: number | undefined
  const addUp = (nowMs: number) => {
    if (sinceMs === undefined) return
    sumMs += nowMs - sinceMs
    sinceMs = nowMs
  }
  return {
    note(nowMs, busy) {
      addUp(nowMs)
      if (busy) sinceMs ??= nowMs
      else sinceMs = undefined
    },
    take(nowMs) {
      addUp(nowMs)
      const taken = sumMs
      sumMs = 0
      return taken
    },
  }
}
