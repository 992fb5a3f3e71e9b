import type { Usage } from '@forebay/contracts'
import type { SeatBounds } from './engine-seats.ts'
import type { Estimate } from './learned-lengths.ts'
import type { Hopeless } from './live-waits.ts'
import type { BatcherRequest, EngineSample, Objective, PerLane, Suspicion } from './request.ts'

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
  /** Most requests in flight now, found out as it goes; for live ones another until the engine has shown a limit. */
  ceiling: number
  liveCeiling: number
}

/** The gate before an engine. Pure: no I/O, no timers, time is an argument. */
export interface Batcher {
  add(request: BatcherRequest, arrival: Arrival): void
  /** Takes a waiting request out; false when it does not wait here. */
  remove(id: string): boolean
  /** The requests to start now; each counts as in flight until `finished`. */
  admit(nowMs: number): BatcherRequest[]
  /** A live request's stream brought something: its first token, or another. */
  progressed(id: string, nowMs: number): void
  /** Frees the seat and tokens, and learns from `usage` when the attempt succeeded. */
  finished(id: string, usage: Usage | null, nowMs: number): void
  /** The engine said that it has too much: 429 or 503. */
  refused(nowMs: number, retryAfterMs: number | undefined): void
  /** Suspects run alone or few at a time: tells that one of them survived, or that the engine died. */
  suspectEnded(survived: boolean): void
  /** Live requests that wait and surely cannot end by their deadlines: to be removed, and refused. Ask after `admit`. */
  hopeless(nowMs: number): Hopeless[]
  /** Requests in flight to be aborted and added again, youngest first, so that waiting live ones can start. */
  victims(nowMs: number): string[]
  observe(sample: EngineSample): void
  /** Where the in-flight ceiling starts and ends; beginning anew when they are others than before. */
  setSeats(bounds: SeatBounds): void
  /** When, without anything else happening, `admit` should be asked again (epoch ms). */
  nextDueMs(nowMs: number): number | undefined
  /** Expected prompt and output tokens of a request. */
  estimate(request: BatcherRequest): Estimate
  counts(): BatcherCounts
  /** Two of them, for whoever asks many times a second. */
  ceilings(): Pick<BatcherCounts, 'ceiling' | 'liveCeiling'>
}

/** What a batcher is made with. */
export interface BatcherOptions {
  seats: SeatBounds
  /** Seats that batch work never takes; as many as live requests took lately when undefined. */
  realtimeSeats?: number | undefined
  objective?: Objective
}
