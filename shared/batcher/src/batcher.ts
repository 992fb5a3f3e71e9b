import { type Lane, lanes } from '@forebay/contracts'
import { makeBusyTime } from './busy-time.ts'
import { makeEngineSeats } from './engine-seats.ts'
import type { Batcher, BatcherOptions } from './gate.ts'
import { floorOf, seatsLeftToOthers } from './lane-shares.ts'
import { makeLatencyRule, type StepOutlook } from './latency-rule.ts'
import { makeLearnedLengths } from './learned-lengths.ts'
import { makeLiveLoad } from './live-load.ts'
import { makeLiveWaits } from './live-waits.ts'
import { makePrefillPace } from './prefill-pace.ts'
import type { BatcherRequest, EngineSample, PerLane, Suspicion } from './request.ts'
import { lowOf, makeRunningRequests, type RunningRequest, sumOf } from './running-requests.ts'
import { makeStepCost } from './step-cost.ts'
import { makeStepWindows } from './step-windows.ts'
import { makeSuspectLine } from './suspect-line.ts'
import { isFresh, makeTokenBudget } from './token-budget.ts'
import { groupKey, makeDeadlineLine, makeGroupedLine, type WaitingLine } from './waiting-line.ts'

// Beside live requests, batch work is let in only while about nothing waits inside the engine.
const engineWaitingMax = 4
// A request that was sent back this often keeps its seat, so that it ends at last.
const preemptionsMax = 2
// So many waiting requests are looked at for one that fits, beside live requests and otherwise.
const lookMax = 256
const lookFewMax = 32
// Without live requests about: prompt tokens sent at once, beyond which shorter prompts are preferred.
const prefillMixTokens = 8_192
// A lane below its floor gets a request in so often, whatever the latency.
const floorEveryMs = 500
// Live requests that wait for a seat are looked at so often, whatever else happens.
const lookAgainMs = 250

/**
 * A batcher for one engine. Batch work gets everything while no live request is about; beside them it gets what leaves
 * each step of the engine short enough.
 */
export function makeBatcher(options: BatcherOptions): Batcher {
  const lengths = makeLearnedLengths()
  const budget = makeTokenBudget()
  const cost = makeStepCost()
  const windows = makeStepWindows()
  const pace = makePrefillPace()
  const live = makeLiveLoad()
  const waits = makeLiveWaits()
  const rule = makeLatencyRule({ objective: options.objective ?? {}, cost, pace })
  const seats = makeEngineSeats(options.seats)
  const lines: Record<Lane, WaitingLine> = {
    realtime: makeDeadlineLine(),
    standard: makeGroupedLine(),
    batch: makeGroupedLine(),
  }
  const suspects = makeSuspectLine()
  const delayed = new Map<string, { request: BatcherRequest; dueMs: number; suspicion: Suspicion }>()
  const running = makeRunningRequests()
  const { count, tokens } = running
  /** Live requests whose first token is to be seen: since when they are here, in the order in which they came. */
  const pending = new Map<string, number>()
  /** Live requests that have been counted as come. */
  const known = new Set<string>()
  const preempted = new Map<string, number>()
  /** The request of each prefix group whose prompt is being computed: others of the group will find it cached. */
  const leaders = new Map<string, string>()
  const floorMs: PerLane = { realtime: 0, standard: 0, batch: 0 }
  let sample: EngineSample | undefined
  const busy = makeBusyTime()
  /** When the prompts sent so far would be computed if the engine did nothing else. */
  let computedMs = 0
  let nextMs: number | undefined

  const waiting = (): PerLane => ({
    realtime: lines.realtime.size,
    standard: lines.standard.size + suspects.waiting('standard'),
    batch: lines.batch.size + suspects.waiting('batch'),
  })
  const noteLive = (nowMs: number) =>
    live.note(nowMs, { requests: count.realtime + lines.realtime.size, tokens: tokens.realtime })

  const freshOf = (request: BatcherRequest) => lengths.estimate(request).freshTokens

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

  /** Whether the KV tokens fit. One request alone always does, or a large one would never run. */
  function fits(request: BatcherRequest, nowMs: number): boolean {
    const capacity = budget.capacity()
    if (capacity === undefined) return true
    const isRealtime = request.lane === 'realtime'
    if (isRealtime ? count.realtime === 0 : sumOf(count) === 0) return true
    const { outputTokens, promptTokens } = lengths.estimate(request)
    const kept = isRealtime ? 0 : Math.max(0, live.reserve(nowMs).tokens - tokens.realtime)
    return sumOf(tokens) + promptTokens + outputTokens + Math.min(kept, capacity / 2) <= capacity
  }

  /** Seats kept free for the live requests that may come. */
  function seatsKept(nowMs: number): number {
    const wanted = options.realtimeSeats ?? live.reserve(nowMs).requests
    return Math.max(0, Math.min(wanted, seats.ceiling - 1) - count.realtime)
  }

  function seatFree(lane: Lane, nowMs: number): boolean {
    const total = sumOf(count)
    const others = seatsLeftToOthers(lane, seats.ceiling, count, waiting())
    if (lane === 'realtime') return total + others < seats.liveCeiling
    return total + Math.max(others, seatsKept(nowMs)) < seats.ceiling
  }

  /** Whether requests wait inside the engine, where batch work could not be told from live. */
  function engineQueues(lane: Lane, nowMs: number): boolean {
    return lane === 'batch' && sample !== undefined && isFresh(sample, nowMs) && sample.waiting > engineWaitingMax
  }

  /** The next step with one more request in it, for the latency rule. */
  function outlook(nowMs: number): StepOutlook {
    const [pendingSinceMs] = pending.values()
    const [quiet, livePerSecond] = [live.isQuiet(nowMs), live.ratePerSecond(nowMs)]
    return { nowMs, requests: sumOf(count) + 1, pendingSinceMs, quiet, livePerSecond }
  }

  function leaderRuns(request: BatcherRequest): boolean {
    const key = groupKey(request)
    const leader = key === undefined ? undefined : leaders.get(key)
    if (key === undefined || leader === undefined) return false
    if (pace.has(leader)) return true
    leaders.delete(key)
    return false
  }

  /** The next request of a lane that may start now. */
  function choose(lane: Lane, nowMs: number): BatcherRequest | undefined {
    const line = lines[lane]
    const isFree = (request: BatcherRequest) => !leaderRuns(request)
    let chosen: BatcherRequest | undefined
    if (lane === 'realtime') chosen = line.find(() => true, 1)
    else if (live.isRecent(nowMs)) {
      const room = engineQueues(lane, nowMs) ? 0 : rule.room(outlook(nowMs))
      if (room > 0) chosen = line.find((request) => freshOf(request) <= room && isFree(request), lookMax)
      chosen ??= floorTurn(lane, nowMs)
    } else if (line.size <= lowOf(count)) {
      chosen = longest(line)
    } else {
      const room = prefillMixTokens - pace.now - pace.next
      chosen =
        (room > 0 ? line.find((request) => freshOf(request) <= room && isFree(request), lookFewMax) : undefined) ??
        line.find(isFree, lookFewMax)
    }
    return chosen && fits(chosen, nowMs) ? chosen : undefined
  }

  /** At the end of all work the longest goes first, so that the last ones end together. */
  function longest(line: WaitingLine): BatcherRequest | undefined {
    let found: BatcherRequest | undefined
    line.find((request) => {
      if (!leaderRuns(request) && request.estTokens > (found?.estTokens ?? 0)) found = request
      return false
    }, lookMax)
    return found
  }

  /** A lane below its floor goes on slowly, whatever the latency: it must not starve. The shortest prompt goes. */
  function floorTurn(lane: Lane, nowMs: number): BatcherRequest | undefined {
    if (count[lane] >= floorOf(seats.ceiling)) return undefined
    const dueMs = floorMs[lane] + floorEveryMs
    if (nowMs < dueMs) {
      nextMs = Math.min(nextMs ?? dueMs, dueMs)
      return undefined
    }
    let found: BatcherRequest | undefined
    lines[lane].find((request) => {
      if (!found || freshOf(request) < freshOf(found)) found = request
      return false
    }, lookFewMax)
    return found
  }

  function start(request: BatcherRequest, nowMs: number, suspicion: Suspicion): BatcherRequest {
    const { freshTokens, outputTokens, promptTokens } = lengths.estimate(request)
    const isLow = request.lane !== 'realtime'
    // Beside live requests steps are seen to end, and this is for doubt: twice what all that is outstanding takes. Else
    // what was sent before, this, and two steps; what is outstanding by this very reckoning would put off ever more.
    computedMs = Math.max(nowMs, computedMs) + cost.perPrefillTokenMs * freshTokens
    const inStep = sumOf(count) + 1
    const longMs = live.isRecent(nowMs)
      ? 2 * cost.stepMs(inStep, pace.now + pace.next + freshTokens)
      : computedMs - nowMs + 2 * cost.stepMs(inStep, 0)
    if (isLow && live.isRecent(nowMs)) rule.sent(outlook(nowMs), freshTokens)
    pace.add(request.id, { tokens: freshTokens, nowMs, untilMs: nowMs + longMs, seen: pending.has(request.id) })
    const key = groupKey(request)
    if (key !== undefined && !leaders.has(key)) leaders.set(key, request.id)
    running.add({
      request,
      startedMs: nowMs,
      cameMs: pending.get(request.id) ?? nowMs,
      tokens: promptTokens + outputTokens,
      suspicion,
      lastTokenMs: undefined,
      leaving: false,
    })
    busy.note(nowMs, true)
    if (isLow) floorMs[request.lane] = nowMs
    return request
  }

  function admitLane(lane: Lane, nowMs: number, admitted: BatcherRequest[]): void {
    const isLow = lane !== 'realtime'
    const open = () => seatFree(lane, nowMs) && (!isLow || (nowMs >= seats.blockedUntilMs && !budget.full(nowMs)))
    if (isLow) {
      while (open()) {
        const suspect = suspects.next(lane, lowOf(count))
        if (!suspect || !fits(suspect.request, nowMs)) break
        suspects.take(suspect)
        admitted.push(start(suspect.request, nowMs, suspect.suspicion))
      }
      if (suspects.holdsOthers()) return
    }
    while (lines[lane].size > 0 && open()) {
      const request = choose(lane, nowMs)
      if (!request) return
      lines[lane].remove(request.id)
      admitted.push(start(request, nowMs, 0))
    }
  }

  /** Seats that live requests may have; in full memory, no more than they hold. */
  function liveSeats(): number {
    if (lowOf(count) === 0 && sumOf(count) < seats.liveCeiling) return count.realtime
    return seats.liveCeiling - seatsLeftToOthers('realtime', seats.ceiling, count, waiting())
  }

  /** Live requests that wait: here for a seat or memory, or at the engine for longer than the objective allows. */
  function liveInNeed(nowMs: number): number {
    const objectiveMs = options.objective?.ttftP99Ms
    let late = 0
    if (objectiveMs !== undefined && sample && sample.waiting > engineWaitingMax) {
      for (const { lastTokenMs, request, cameMs: came } of running.values()) {
        if (pending.has(request.id) && lastTokenMs === undefined && nowMs - came > 2 * objectiveMs) late++
      }
    }
    const next = lines.realtime.find(() => true, 1)
    if (!next || (sumOf(count) < seats.liveCeiling && fits(next, nowMs))) return late
    const most = seats.liveCeiling - seatsLeftToOthers('realtime', seats.ceiling, count, waiting())
    return late + Math.max(0, Math.min(lines.realtime.size, most - count.realtime))
  }

  return {
    add(request, { nowMs, notBeforeMs = 0, suspicion = 0, first = false }) {
      if (request.lane === 'realtime' && !known.has(request.id)) {
        known.add(request.id)
        if (request.streams) pending.set(request.id, nowMs)
        live.came(nowMs)
      }
      if (notBeforeMs > nowMs) delayed.set(request.id, { request, dueMs: notBeforeMs, suspicion })
      else enter(request, suspicion, first)
      if (request.lane === 'realtime') noteLive(nowMs)
    },
    remove(id) {
      preempted.delete(id)
      pending.delete(id)
      known.delete(id)
      return delayed.delete(id) || suspects.remove(id) || lanes.some((lane) => lines[lane].remove(id))
    },
    admit(nowMs) {
      enterDue(nowMs)
      pace.expire(nowMs)
      nextMs = undefined
      const admitted: BatcherRequest[] = []
      for (const lane of lanes) admitLane(lane, nowMs, admitted)
      noteLive(nowMs)
      return admitted
    },
    progressed(id, nowMs) {
      const entry = running.get(id)
      if (entry?.request.lane !== 'realtime') return
      const { lastTokenMs } = entry
      const inStep = pace.now
      pace.remove(id)
      const stepMs = pace.stepEnded(nowMs)
      if (stepMs !== undefined && (sample === undefined || sample.countsAtEnd)) {
        cost.observe({ stepMs, running: sumOf(count), prefillTokens: inStep, weight: 0.02 })
      }
      entry.lastTokenMs = nowMs
      if (lastTokenMs !== undefined) rule.interToken(nowMs - lastTokenMs)
      else {
        const { freshTokens } = lengths.estimate(entry.request)
        rule.firstToken(entry.cameMs, nowMs, freshTokens)
        pending.delete(id)
      }
    },
    finished(id, usage, nowMs) {
      const entry = running.remove(id)
      if (!entry) return
      pace.remove(id)
      busy.note(nowMs, sumOf(count) > 0)
      if (entry.suspicion > 0) suspects.ended(entry.suspicion)
      if (entry.request.lane === 'realtime') noteLive(nowMs)
      if (!usage) return
      if (entry.request.lane === 'realtime') waits.ended(nowMs - entry.startedMs)
      seats.succeeded({
        msPerToken: (nowMs - entry.startedMs) / Math.max(1, usage.completionTokens),
        inFlight: sumOf(count) + 1,
        live: live.isRecent(nowMs),
      })
      preempted.delete(id)
      pending.delete(id)
      known.delete(id)
      lengths.learn(entry.request, usage)
    },
    refused: (nowMs, retryAfterMs) => seats.refused(nowMs, retryAfterMs),
    suspectEnded: (survived) => suspects.verdict(survived),
    hopeless: (nowMs) =>
      lines.realtime.size === 0 ? [] : waits.hopeless({ nowMs, line: lines.realtime, seats: liveSeats() }),
    victims(nowMs) {
      enterDue(nowMs)
      // What waits inside the engine for a seat makes live requests wait behind it; it has not begun, so little is lost.
      const beyond = seats.isFound && live.isRecent(nowMs) ? sumOf(count) - seats.ceiling : 0
      const needed = Math.max(beyond, liveInNeed(nowMs))
      if (needed <= 0) return []
      let leaving = 0
      const candidates: RunningRequest[] = []
      for (const entry of running.values()) {
        if (entry.leaving) leaving++
        else if (entry.request.lane !== 'realtime' && (preempted.get(entry.request.id) ?? 0) < preemptionsMax) {
          candidates.push(entry)
        }
      }
      const chosen = candidates.sort((a, b) => b.startedMs - a.startedMs).slice(0, Math.max(0, needed - leaving))
      for (const entry of chosen) {
        const { id } = entry.request
        preempted.set(id, (preempted.get(id) ?? 0) + 1)
        entry.leaving = true
      }
      return chosen.map(({ request }) => request.id)
    },
    observe(next) {
      sample = next
      budget.observe(next, sumOf(tokens))
      seats.observe(next, {
        inFlight: sumOf(count),
        live: live.isRecent(next.atMs),
        prefilling: pace.underWay(next.atMs),
        overdue: pace.overdue(next.atMs),
      })
      const window = windows.observe(next, busy.take(next.atMs))
      if (window) cost.observe(window)
    },
    setSeats: (bounds) => seats.setBounds(bounds),
    nextDueMs(nowMs) {
      let next = nextMs
      for (const { dueMs } of delayed.values()) next = Math.min(next ?? dueMs, dueMs)
      // How long they would wait is reckoned anew.
      if (lines.realtime.size > 0) next = Math.min(next ?? nowMs + lookAgainMs, nowMs + lookAgainMs)
      if (lines.standard.size + lines.batch.size > 0) {
        const paceMs = pace.nextDueMs()
        if (paceMs !== undefined) next = Math.min(next ?? paceMs, paceMs)
        if (seats.blockedUntilMs > nowMs) next = Math.min(next ?? seats.blockedUntilMs, seats.blockedUntilMs)
      }
      return next
    },
    estimate: (request) => lengths.estimate(request),
    counts() {
      const counted = waiting()
      for (const { request } of delayed.values()) counted[request.lane]++
      return {
        waiting: counted,
        inFlight: { ...count },
        tokens: sumOf(tokens),
        tokensMax: budget.capacity(),
        ceiling: seats.ceiling,
        liveCeiling: seats.liveCeiling,
      }
    },
  }
}
