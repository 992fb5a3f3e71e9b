/** How fast a pool may grow and shrink. */
export interface Pace {
  /** In so long, by `upShare` of itself or `upLeast` replicas, whichever is more. */
  readonly upPeriodMs: number
  readonly upShare: number
  readonly upLeast: number
  /** So long must fewer have sufficed before it shrinks. */
  readonly stableMs: number
  /** In so long, by `downShare` of itself, and one replica at least. */
  readonly downPeriodMs: number
  readonly downShare: number
}

/** Up 100 % (at least 4) in 30 s; down after 300 s, 50 % in 60 s. */
export const defaultPace: Pace = {
  ...{ upPeriodMs: 30_000, upShare: 1, upLeast: 4 },
  ...{ stableMs: 300_000, downPeriodMs: 60_000, downShare: 0.5 },
}

/** Keeps a pool's replicas to the pace. */
export interface Steps {
  readonly held: number | undefined
  /** Begins with what was decided before: it stays until fewer have sufficed for long. */
  hold(nowMs: number, replicas: number): void
  /** The next number of replicas: toward `up` when that is more, down to what has sufficed for long when that is less. */
  next(options: { nowMs: number; up: number; down: number; least: number; most: number; stableMs: number }): number
}

/** Starts with nothing held. */
export function makeSteps(pace: Pace): Steps {
  let held: number | undefined
  let enough: { atMs: number; replicas: number }[] = []
  let moves: { atMs: number; by: number }[] = []
  const movedSince = (fromMs: number, sign: 1 | -1) =>
    moves.reduce((sum, { atMs, by }) => sum + (atMs > fromMs && Math.sign(by) === sign ? Math.abs(by) : 0), 0)
  return {
    get held() {
      return held
    },
    hold(nowMs, replicas) {
      held = replicas
      enough = [{ atMs: nowMs, replicas }]
    },
    next({ down, least, most, nowMs, stableMs, up }) {
      const before = held ?? 0
      const stableFromMs = nowMs - Math.max(pace.stableMs, stableMs)
      moves = moves.filter(({ atMs }) => atMs > nowMs - Math.max(pace.upPeriodMs, pace.downPeriodMs))
      enough = [...enough.filter(({ atMs }) => atMs >= stableFromMs), { atMs: nowMs, replicas: Math.max(up, down) }]
      const suffices = Math.max(...enough.map(({ replicas }) => replicas))
      let next = before
      if (up > before) {
        const from = before - movedSince(nowMs - pace.upPeriodMs, 1)
        next = Math.min(up, Math.max(before, from + Math.max(pace.upLeast, Math.ceil(from * pace.upShare))))
      } else if (suffices < before) {
        const from = before + movedSince(nowMs - pace.downPeriodMs, -1)
        next = Math.max(suffices, Math.min(before, Math.min(from - 1, Math.floor(from * (1 - pace.downShare)))))
      }
      next = Math.max(least, Math.min(most, next))
      if (next !== before) moves.push({ atMs: nowMs, by: next - before })
      held = next
      return next
    },
  }
}
