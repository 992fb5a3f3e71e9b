import type { Day, DayBatch } from './day.ts'

/** The replicas that a policy commands, alike for every policy. */
export interface Fleet {
  /** Tokens a second of one replica that is full. */
  readonly replicaRate: number
  /** From asking for a replica until it works; it is paid for from the start. */
  readonly coldStartMs: number
  /** A replica told to go takes nothing new and is paid for so long. */
  readonly drainMs: number
  readonly maxReplicas: number
  /** A live request that has waited longer for an engine is a miss. */
  readonly liveWaitMs: number
}

/** What a policy may look at: no more than a real one could. */
export interface FleetView {
  readonly nowMs: number
  readonly ready: number
  readonly warming: number
  /** How busy the ready replicas were since the policy was last asked, from 0 to 1. */
  readonly busy: number
  /** Messages on the queue that no worker holds: a live request, or a chunk of a batch. */
  readonly messages: number
  /** Tokens a second of live requests that came since the policy was last asked. */
  readonly liveTokensPerSecond: number
  readonly liveWaitingTokens: number
  /** The longest that a live request waited since then, over what it may. */
  readonly waitRatio: number
  readonly batches: readonly { deadlineMs: number; tokens: number }[]
}

/** A policy under test. */
export interface FleetPolicy {
  readonly name: string
  readonly everyMs: number
  /** How many replicas there should be. */
  decide(view: FleetView): number
}

export interface FleetReport {
  name: string
  gpuHours: number
  /** Live requests that waited too long and batch lines that were not done in time. */
  misses: number
  liveMisses: number
  lineMisses: number
  replicasMax: number
  starts: number
}

const chunkRequests = 64
// Chunks that a worker holds at once: its seats twice over.
const chunksPerWorker = 8

/** Plays a day under a policy. Live requests go first, batches by deadline; every policy is served alike. */
export function playDay(options: { day: Day; fleet: Fleet; policy: FleetPolicy }): FleetReport {
  const { day, fleet, policy } = options
  const { stepMs } = day
  const perStep = (fleet.replicaRate * stepMs) / 1000
  let ready = 1
  let warming: number[] = []
  let draining: number[] = []
  let [gpuMs, liveMisses, replicasMax, starts] = [0, 0, 1, 0]
  const waiting: { atMs: number; requests: number; tokens: number }[] = []
  let open: (DayBatch & { left: number })[] = []
  let nextBatch = 0
  let lineMisses = 0
  let since = { capacity: 0, used: 0, live: 0, longestMs: 0, steps: 0 }

  for (const [step, arrival] of day.live.entries()) {
    const nowMs = step * stepMs
    ready += warming.filter((atMs) => atMs <= nowMs).length
    warming = warming.filter((atMs) => atMs > nowMs)
    draining = draining.filter((atMs) => atMs > nowMs)
    for (let batch = day.batches[nextBatch]; batch && batch.atMs <= nowMs; batch = day.batches[++nextBatch]) {
      open.push({ ...batch, left: batch.tokens })
      open.sort((a, b) => a.deadlineMs - b.deadlineMs)
    }
    if (arrival.requests > 0) waiting.push({ atMs: nowMs, ...arrival })
    const capacity = ready * perStep
    let free = capacity
    for (let first = waiting[0]; first && free > 1; first = waiting[0]) {
      const part = Math.min(1, free / first.tokens)
      const waitedMs = nowMs - first.atMs
      since.longestMs = Math.max(since.longestMs, waitedMs)
      if (waitedMs > fleet.liveWaitMs) liveMisses += first.requests * part
      free -= first.tokens * part
      if (part === 1) waiting.shift()
      else Object.assign(first, { requests: first.requests * (1 - part), tokens: first.tokens * (1 - part) })
    }
    for (const batch of open) {
      const part = Math.min(batch.left, free)
      batch.left -= part
      free -= part
    }
    for (const batch of open) if (batch.left > 0 && batch.deadlineMs <= nowMs + stepMs) lineMisses += linesLeft(batch)
    open = open.filter((batch) => batch.left > 0 && batch.deadlineMs > nowMs + stepMs)
    gpuMs += (ready + warming.length + draining.length) * stepMs
    since = {
      capacity: since.capacity + capacity,
      used: since.used + capacity - free,
      live: since.live + arrival.tokens,
      longestMs: Math.max(since.longestMs, nowMs + stepMs - (waiting[0]?.atMs ?? nowMs + stepMs)),
      steps: since.steps + 1,
    }
    if ((nowMs + stepMs) % policy.everyMs !== 0) continue
    const chunks = open.reduce((sum, batch) => sum + Math.ceil(linesLeft(batch) / chunkRequests), 0)
    const wanted = policy.decide({
      nowMs: nowMs + stepMs,
      ready,
      warming: warming.length,
      busy: since.capacity > 0 ? since.used / since.capacity : 0,
      messages:
        Math.max(0, chunks - ready * chunksPerWorker) + Math.round(waiting.reduce((sum, w) => sum + w.requests, 0)),
      liveTokensPerSecond: (since.live * 1000) / (since.steps * stepMs),
      liveWaitingTokens: waiting.reduce((sum, { tokens }) => sum + tokens, 0),
      waitRatio: since.longestMs / fleet.liveWaitMs,
      batches: open.map(({ deadlineMs, left }) => ({ deadlineMs, tokens: left })),
    })
    since = { capacity: 0, used: 0, live: 0, longestMs: 0, steps: 0 }
    const desired = Math.max(0, Math.min(fleet.maxReplicas, wanted))
    for (; ready + warming.length < desired; starts++) warming.push(nowMs + stepMs + fleet.coldStartMs)
    while (ready + warming.length > desired) {
      // The newest goes first, as a Deployment's pods that are not ready do.
      if (warming.pop() === undefined) {
        ready--
        draining.push(nowMs + stepMs + fleet.drainMs)
      }
    }
    replicasMax = Math.max(replicasMax, desired)
  }
  liveMisses += waiting
    .filter(({ atMs }) => day.durationMs - atMs > fleet.liveWaitMs)
    .reduce((sum, { requests }) => sum + requests, 0)
  lineMisses += open.reduce((sum, batch) => sum + linesLeft(batch), 0)
  liveMisses = Math.round(liveMisses)
  const gpuHours = Number((gpuMs / 3_600_000).toFixed(2))
  return { name: policy.name, gpuHours, misses: liveMisses + lineMisses, liveMisses, lineMisses, replicasMax, starts }
}

function linesLeft(batch: DayBatch & { left: number }): number {
  return Math.ceil((batch.requests * batch.left) / batch.tokens)
}
