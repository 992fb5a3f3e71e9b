import { type Lane, lanes, type Usage } from '@forebay/contracts'
import { makeLearnedLengths } from './learned-lengths.ts'
import type { BatcherRequest, EngineSample, Suspicion } from './request.ts'
import { type PerLane, realtimeReserve, seatLimits, seatsLeftToOthers } from './seat-limits.ts'
import { makeSuspectLine } from './suspect-line.ts'
import { isFresh, makeTokenBudget } from './token-budget.ts'
import { makeDeadlineLine, makeGroupedLine, type WaitingLine } from './waiting-line.ts'

// Batch work is let in only while about nothing waits inside the engine, where it could not be told from realtime.
const engineWaitingMax = 4
// A request that was sent back this often keeps its seat, so that it ends at last.
const preemptionsMax = 2

interface Running {
  readonly request: BatcherRequest
  readonly startedMs: number
  readonly tokens: number
  readonly suspicion: Suspicion
}

/** How a request comes to the batcher: new, or back after an attempt. */
export interface Arrival {
  nowMs: number
  /** Not to be let in before this time (epoch ms). */
  notBeforeMs?: number
  suspicion?: Suspicion
  /** Back from the engine through no fault of its own: it goes first. */
  first?: boolean
}

/** What the batcher holds, for metrics and for deciding how much to pull. */
export interface BatcherCounts {
  waiting: PerLane
  inFlight: PerLane
  tokens: number
  /** Undefined while unbounded. */
  tokensMax: number | undefined
  ceiling: number
}

/** The gate before an engine. Pure: no I/O, no timers, time is an argument. */
export interface Batcher {
  add(request: BatcherRequest, arrival: Arrival): void
  /** Takes a waiting request out; false when it does not wait here. */
  remove(id: string): boolean
  /** The requests to start now; each counts as in flight until `finished`. */
  admit(nowMs: number): BatcherRequest[]
  /** Frees the seat and tokens, and learns from `usage` when the attempt succeeded. */
  finished(id: string, usage: Usage | null): void
  /** Suspects run alone or few at a time: tells that one of them survived, or that the engine died. */
  suspectEnded(survived: boolean): void
  /** Requests in flight to be aborted and added again, youngest first, so that waiting realtime ones can start. */
  victims(nowMs: number): string[]
  observe(sample: EngineSample): void
  /** The hook for an adaptive ceiling. */
  setCeiling(ceiling: number): void
  /** When the next request that waits for its back-off falls due (epoch ms). */
  nextDueMs(): number | undefined
  /** Expected prompt and output tokens of a request. */
  estimate(request: BatcherRequest): { promptTokens: number; outputTokens: number }
  counts(): BatcherCounts
}

/** A batcher for an engine that takes `ceiling` requests at once, `realtimeSeats` of which batch work never takes. */
export function makeBatcher(options: { ceiling: number; realtimeSeats: number | undefined }): Batcher {
  let ceiling = options.ceiling
  const lengths = makeLearnedLengths()
  const budget = makeTokenBudget()
  const lines: Record<Lane, WaitingLine> = {
    realtime: makeDeadlineLine(),
    standard: makeGroupedLine(),
    batch: makeGroupedLine(),
  }
  const suspects = makeSuspectLine()
  const delayed = new Map<string, { request: BatcherRequest; dueMs: number; suspicion: Suspicion }>()
  const running = new Map<string, Running>()
  const preempted = new Map<string, number>()
  const leaving = new Set<string>()
  const inFlight: PerLane = { realtime: 0, standard: 0, batch: 0 }
  const tokens: PerLane = { realtime: 0, standard: 0, batch: 0 }
  let sample: EngineSample | undefined

  const total = (per: PerLane) => per.realtime + per.standard + per.batch
  const low = (per: PerLane) => per.standard + per.batch
  const waiting = (): PerLane => ({
    realtime: lines.realtime.size,
    standard: lines.standard.size + suspects.waiting('standard'),
    batch: lines.batch.size + suspects.waiting('batch'),
  })
  const demand = () => ({ ceiling, realtimeSeats: options.realtimeSeats, inFlight, waiting: waiting() })
  const tokensOf = (request: BatcherRequest) => {
    const { promptTokens, outputTokens } = lengths.estimate(request)
    return promptTokens + outputTokens
  }

  function enter(request: BatcherRequest, suspicion: Suspicion, first: boolean): void {
    if (suspicion > 0 && request.lane !== 'realtime') suspects.add(request, suspicion)
    else if (first) lines[request.lane].addFirst(request)
    else lines[request.lane].add(request)
  }

  function enterDue(nowMs: number): void {
    for (const [id, { request, dueMs, suspicion }] of delayed) {
      if (dueMs > nowMs) continue
      delayed.delete(id)
      enter(request, suspicion, true)
    }
  }

  /** Whether the tokens fit. One request alone always does, or a large one would never run. */
  function fits(request: BatcherRequest): boolean {
    const capacity = budget.capacity()
    if (capacity === undefined) return true
    const isRealtime = request.lane === 'realtime'
    if (isRealtime ? inFlight.realtime === 0 : total(inFlight) === 0) return true
    const need = tokensOf(request)
    if (total(tokens) + need > capacity) return false
    const reserve = realtimeReserve(ceiling, options.realtimeSeats) / ceiling
    return isRealtime || low(tokens) + need <= capacity * (1 - reserve)
  }

  function engineTakes(lane: Lane, nowMs: number): boolean {
    if (lane === 'realtime') return true
    if (budget.full(nowMs)) return false
    return lane === 'standard' || !sample || !isFresh(sample, nowMs) || sample.waiting <= engineWaitingMax
  }

  function start(request: BatcherRequest, nowMs: number, suspicion: Suspicion): BatcherRequest {
    const need = tokensOf(request)
    running.set(request.id, { request, startedMs: nowMs, tokens: need, suspicion })
    inFlight[request.lane]++
    tokens[request.lane] += need
    return request
  }

  return {
    add(request, { nowMs, notBeforeMs = 0, suspicion = 0, first = false }) {
      if (notBeforeMs > nowMs) delayed.set(request.id, { request, dueMs: notBeforeMs, suspicion })
      else enter(request, suspicion, first)
    },
    remove(id) {
      preempted.delete(id)
      return delayed.delete(id) || suspects.remove(id) || lanes.some((lane) => lines[lane].remove(id))
    },
    admit(nowMs) {
      enterDue(nowMs)
      const admitted: BatcherRequest[] = []
      const limits = seatLimits(demand())
      const free = (lane: Lane) =>
        inFlight[lane] < limits[lane] &&
        total(inFlight) + seatsLeftToOthers(lane, demand()) < ceiling &&
        engineTakes(lane, nowMs)
      for (const lane of lanes) {
        if (lane !== 'realtime') {
          while (free(lane)) {
            const suspect = suspects.next(lane, low(inFlight))
            if (!suspect || !fits(suspect.request)) break
            suspects.take(suspect)
            admitted.push(start(suspect.request, nowMs, suspect.suspicion))
          }
          if (suspects.holdsOthers()) continue
        }
        while (free(lane)) {
          const request = lines[lane].peek()
          if (!request || !fits(request)) break
          lines[lane].take()
          admitted.push(start(request, nowMs, 0))
        }
      }
      return admitted
    },
    finished(id, usage) {
      const entry = running.get(id)
      if (!entry) return
      running.delete(id)
      leaving.delete(id)
      inFlight[entry.request.lane]--
      tokens[entry.request.lane] -= entry.tokens
      if (entry.suspicion > 0) suspects.ended(entry.suspicion)
      if (!usage) return
      preempted.delete(id)
      lengths.learn(entry.request, usage)
    },
    suspectEnded: (survived) => suspects.verdict(survived),
    victims(nowMs) {
      enterDue(nowMs)
      const next = lines.realtime.peek()
      if (!next) return []
      const noSeat = total(inFlight) >= ceiling
      if (!noSeat && fits(next)) return []
      const candidates = [...running.values()]
        .filter(({ request: { id, lane } }) => lane !== 'realtime' && !leaving.has(id))
        .filter(({ request }) => (preempted.get(request.id) ?? 0) < preemptionsMax)
        .sort((a, b) => b.startedMs - a.startedMs)
      const seats = ceiling - seatsLeftToOthers('realtime', demand())
      const wanted = Math.min(lines.realtime.size, seats - inFlight.realtime) - leaving.size
      const chosen = candidates.slice(0, Math.max(0, wanted)).map((entry) => entry.request.id)
      for (const id of chosen) {
        preempted.set(id, (preempted.get(id) ?? 0) + 1)
        leaving.add(id)
      }
      return chosen
    },
    observe(next) {
      budget.observe(next, total(tokens))
      sample = next
    },
    setCeiling(next) {
      ceiling = Math.max(1, Math.floor(next))
    },
    nextDueMs() {
      let next: number | undefined
      for (const { dueMs } of delayed.values()) next = Math.min(next ?? dueMs, dueMs)
      return next
    },
    estimate: (request) => lengths.estimate(request),
    counts() {
      const counted = waiting()
      for (const { request } of delayed.values()) counted[request.lane]++
      return {
        waiting: counted,
        inFlight: { ...inFlight },
        tokens: total(tokens),
        tokensMax: budget.capacity(),
        ceiling,
      }
    },
  }
}
