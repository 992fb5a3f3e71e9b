import type { Day } from './day.ts'
import type { Fleet } from './fleet.ts'

/**
 * GPU-hours below which no policy comes that misses nothing, even one that knows the day beforehand. Three parts:
 *
 * - Live traffic needs a whole number of replicas in every step: its tokens of the step and the next, divided.
 * - What batches can use of their spare capacity is found by serving them in order of deadline, which is the most that
 *   can be done before the deadlines (jobs with a release and a deadline form a convex bipartite graph). Every token that
 *   is left needs capacity on top.
 * - A replica that is started is paid for a cold start before it works. Between two times at which a level is needed it
 *   is kept or started again, whichever is less; capacity on top for batches bridges the shortest of these gaps.
 */
export function oracleGpuHours(day: Day, fleet: Fleet): number {
  const { stepMs } = day
  const perStep = (fleet.replicaRate * stepMs) / 1000
  const needed = day.live.map(({ tokens }, i) =>
    Math.ceil((tokens + (day.live[i + 1]?.tokens ?? tokens)) / 2 / perStep),
  )
  const spare = needed.map((replicas, i) => Math.max(0, replicas * perStep - (day.live[i]?.tokens ?? 0)))
  const topMs = (unserved(day, spare) * 1000) / fleet.replicaRate
  const { gapsMs, starts } = startsOf(needed, stepMs)
  const baseMs = needed.reduce((sum, replicas) => sum + replicas * stepMs, 0)
  let bestMs = Number.POSITIVE_INFINITY
  let bridgedMs = 0
  for (let bridged = 0; bridged <= gapsMs.length; bridged++) {
    const costMs = baseMs + Math.max(topMs, bridgedMs) + fleet.coldStartMs * (starts - bridged)
    bestMs = Math.min(bestMs, costMs)
    bridgedMs += gapsMs[bridged] ?? 0
  }
  return Number((bestMs / 3_600_000).toFixed(2))
}

/** Tokens of batches that capacity, step by step, cannot take before their deadlines. */
function unserved(day: Day, capacity: readonly number[]): number {
  const open: { deadlineMs: number; left: number }[] = []
  let next = 0
  let served = 0
  for (const [i, free] of capacity.entries()) {
    const nowMs = i * day.stepMs
    for (let batch = day.batches[next]; batch && batch.atMs <= nowMs; batch = day.batches[++next]) {
      open.push({ deadlineMs: batch.deadlineMs, left: batch.tokens })
      open.sort((a, b) => a.deadlineMs - b.deadlineMs)
    }
    let rest = free
    for (const batch of open) {
      if (batch.deadlineMs < nowMs + day.stepMs) continue
      const part = Math.min(batch.left, rest)
      batch.left -= part
      rest -= part
      served += part
    }
  }
  return day.batches.reduce((sum, { tokens }) => sum + tokens, 0) - served
}

/** How often a level of replicas is started, and the gaps between, the shortest first. One replica runs at the start. */
function startsOf(needed: readonly number[], stepMs: number): { starts: number; gapsMs: number[] } {
  const gapsMs: number[] = []
  let starts = 0
  for (let level = 1; level <= Math.max(...needed); level++) {
    let idle = level === 1 ? 0 : undefined
    for (const replicas of needed) {
      if (replicas >= level) {
        if (idle !== 0) starts++
        if (idle !== undefined && idle > 0) gapsMs.push(idle * stepMs)
        idle = 0
      } else if (idle !== undefined) idle++
    }
  }
  return { starts, gapsMs: gapsMs.sort((a, b) => a - b) }
}
