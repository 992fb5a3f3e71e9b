import { type Lane, lanes } from '@forebay/contracts'
import { makeEngineView } from './engine-view.ts'
import { makeFreeRoom } from './free-room.ts'
import type { Batcher, BatcherOptions } from './gate.ts'
import { makeLiveWaits } from './live-waits.ts'
import { makeNextRequest, outlookOf } from './next-request.ts'
import { makePreemption } from './preemption.ts'
import type { BatcherRequest, Suspicion } from './request.ts'
import { lowOf, sumOf } from './running-requests.ts'
import { makeWaitingRoom } from './waiting-room.ts'

// Live requests that wait for a seat are looked at so often, whatever else happens.
const lookAgainMs = 250

/**
 * A batcher for one engine. Batch work gets everything while no live request is about; beside them it gets what leaves
 * each step of the engine short enough.
 */
export function makeBatcher(options: BatcherOptions): Batcher {
  const view = makeEngineView(options)
  const room = makeWaitingRoom()
  const free = makeFreeRoom({ view, room })
  const next = makeNextRequest({ view, room, free })
  const preemption = makePreemption({ view, room, free })
  const waits = makeLiveWaits()
  const { budget, cost, lengths, live, pace, pending, rule, running, seats } = view
  const { count, tokens } = running
  const { lines, suspects } = room
  /** Live requests that have been counted as come. */
  const known = new Set<string>()
  /** When the prompts sent so far would be computed if the engine did nothing else. */
  let computedMs = 0

  const noteLive = (nowMs: number) =>
    live.note(nowMs, { requests: count.realtime + lines.realtime.size, tokens: tokens.realtime })

  function forget(id: string): void {
    preemption.forget(id)
    pending.delete(id)
    known.delete(id)
  }

  function start(request: BatcherRequest, nowMs: number, suspicion: Suspicion): BatcherRequest {
    const { freshTokens, outputTokens, promptTokens } = lengths.estimate(request)
    const besideLive = live.isRecent(nowMs)
    // Beside live requests steps are seen to end, and this is for doubt: twice what all that is outstanding takes. Else
    // what was sent before, this, and two steps; what is outstanding by this very reckoning would put off ever more.
    computedMs = Math.max(nowMs, computedMs) + cost.perPrefillTokenMs * freshTokens
    const inStep = sumOf(count) + 1
    const longMs = besideLive
      ? 2 * cost.stepMs(inStep, pace.now + pace.next + freshTokens)
      : computedMs - nowMs + 2 * cost.stepMs(inStep, 0)
    if (request.lane !== 'realtime' && besideLive) rule.sent(outlookOf(view, nowMs), freshTokens)
    pace.add(request.id, { tokens: freshTokens, nowMs, untilMs: nowMs + longMs, seen: pending.has(request.id) })
    running.add({
      request,
      startedMs: nowMs,
      cameMs: pending.get(request.id) ?? nowMs,
      tokens: promptTokens + outputTokens,
      suspicion,
      lastTokenMs: undefined,
      leaving: false,
    })
    next.started(request, nowMs)
    view.noteBusy(nowMs)
    return request
  }

  function isOpen(lane: Lane, nowMs: number): boolean {
    if (lane !== 'realtime' && (nowMs < seats.blockedUntilMs || budget.full(nowMs))) return false
    return free.seatFree(lane, nowMs)
  }

  function admitLane(lane: Lane, nowMs: number, admitted: BatcherRequest[]): void {
    // Of a lane without work nothing is asked.
    if (lines[lane].size === 0 && suspects.waiting(lane) === 0) return
    if (lane !== 'realtime') {
      while (isOpen(lane, nowMs)) {
        const suspect = suspects.next(lane, lowOf(count))
        if (!suspect || !free.fits(suspect.request, nowMs)) break
        suspects.take(suspect)
        admitted.push(start(suspect.request, nowMs, suspect.suspicion))
      }
      if (suspects.holdsOthers()) return
    }
    while (lines[lane].size > 0 && isOpen(lane, nowMs)) {
      const request = next.choose(lane, nowMs)
      if (!request) return
      lines[lane].remove(request.id)
      admitted.push(start(request, nowMs, 0))
    }
  }

  return {
    add(request, { nowMs, notBeforeMs = 0, suspicion = 0, first = false }) {
      const isLive = request.lane === 'realtime'
      if (isLive && !known.has(request.id)) {
        known.add(request.id)
        if (request.streams) pending.set(request.id, nowMs)
        live.came(nowMs)
      }
      room.add(request, { nowMs, dueMs: notBeforeMs, suspicion, first })
      if (isLive) noteLive(nowMs)
    },
    remove(id) {
      forget(id)
      return room.remove(id)
    },
    admit(nowMs) {
      room.enterDue(nowMs)
      pace.expire(nowMs)
      next.beginLook()
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
      if (stepMs !== undefined && (view.sample === undefined || view.sample.countsAtEnd)) {
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
      const isLive = entry.request.lane === 'realtime'
      pace.remove(id)
      view.noteBusy(nowMs)
      if (entry.suspicion > 0) suspects.ended(entry.suspicion)
      if (isLive) noteLive(nowMs)
      if (!usage) return
      if (isLive) waits.ended(nowMs - entry.startedMs)
      seats.succeeded({
        msPerToken: (nowMs - entry.startedMs) / Math.max(1, usage.completionTokens),
        inFlight: sumOf(count) + 1,
        live: live.isRecent(nowMs),
      })
      forget(id)
      lengths.learn(entry.request, usage)
    },
    refused: (nowMs, retryAfterMs) => seats.refused(nowMs, retryAfterMs),
    suspectEnded: (survived) => suspects.verdict(survived),
    hopeless: (nowMs) =>
      lines.realtime.size === 0 ? [] : waits.hopeless({ nowMs, line: lines.realtime, seats: free.liveSeats() }),
    victims(nowMs) {
      room.enterDue(nowMs)
      return preemption.victims(nowMs)
    },
    observe: (sample) => view.observe(sample),
    setSeats: (bounds) => seats.setBounds(bounds),
    nextDueMs(nowMs) {
      const dues = [next.floorDueMs, room.nextDueMs()]
      // How long they would wait is reckoned anew.
      if (lines.realtime.size > 0) dues.push(nowMs + lookAgainMs)
      if (lines.standard.size + lines.batch.size > 0) {
        dues.push(pace.nextDueMs())
        if (seats.blockedUntilMs > nowMs) dues.push(seats.blockedUntilMs)
      }
      const soonest = Math.min(...dues.map((dueMs) => dueMs ?? Number.POSITIVE_INFINITY))
      return Number.isFinite(soonest) ? soonest : undefined
    },
    estimate: (request) => lengths.estimate(request),
    counts: () => ({
      waiting: room.waiting(),
      inFlight: { ...count },
      tokens: sumOf(tokens),
      tokensMax: budget.capacity(),
      ceiling: seats.ceiling,
      liveCeiling: seats.liveCeiling,
    }),
    ceilings: () => ({ ceiling: seats.ceiling, liveCeiling: seats.liveCeiling }),
  }
}
