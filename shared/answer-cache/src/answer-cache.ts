import {
  type Clock,
  describeError,
  eitherSignal,
  ForebayError,
  type Logger,
  newId,
  type Running,
} from '@forebay/kernel'
import { LRUCache } from 'lru-cache'
import type { Answer } from './answer.ts'
import type { EntryName, SharedAnswers } from './shared-answers.ts'

/** How the computing of an answer ended: with it, without one to keep, or in a failure that another try may not share. */
export type FlightEnd = { kind: 'answer'; answer: Answer } | { kind: 'unstorable' } | { kind: 'failed' }

/**
 * What a request does: serve a `hit`; `lead`: compute, and call `finish` once, however it ends; `alone`: compute, and
 * store nothing, for others could not be waited for.
 */
export type CacheTurn =
  | { kind: 'hit'; answer: Answer; waited: boolean }
  | { kind: 'lead'; finish: (end: FlightEnd) => void }
  | { kind: 'alone' }

/** An entry asked for; `ttlMs`: kept for no longer than this, where it is less than what the cache keeps. */
export interface CacheEntry extends EntryName {
  ttlMs?: number | undefined
}

interface Flight {
  ended: Promise<FlightEnd>
  end: (end: FlightEnd) => void
}

const leaseMs = 5_000
const expireEveryMs = 60_000
const pollMs = { first: 10, max: 150 }
/** How often a failed leader is followed by another before everybody computes for themselves. */
const leadersMax = 2

/**
 * Answers of finished requests: a bounded store in this process in front of one that gateways share, if there is one.
 * Equal requests at the same time are computed once, in this process by waiting for its own leader, across processes
 * by a short lease in the shared store. A leader that fails, leaves or dies is followed by another; who waited too
 * long computes alone. While the shared store cannot be reached, this process goes on with its own.
 */
export class AnswerCache implements Running {
  readonly #options: AnswerCacheOptions
  readonly #kept: LRUCache<string, { answer: Answer; tenantId: string; untilMs: number }>
  readonly #flights = new Map<string, Flight>()
  readonly #held = new Map<string, EntryName>()
  readonly #token: string
  readonly #stopTimers: (() => void)[] = []

  constructor(options: AnswerCacheOptions) {
    this.#options = options
    this.#token = newId('c', options.clock.now())
    this.#kept = new LRUCache({
      maxSize: Math.max(1, options.memoryBytes),
      sizeCalculation: ({ answer }) => sizeOf(answer),
    })
  }

  /** Bytes kept in this process. */
  get bytes(): number {
    return this.#kept.calculatedSize
  }

  start(): void {
    if (this.#stopTimers.length > 0) return
    const { clock } = this.#options
    this.#stopTimers.push(
      clock.every(leaseMs / 3, () => this.#renew()),
      clock.every(expireEveryMs, () => this.#expire()),
    )
  }

  /** Lets nobody wait any longer. The shared store given stays open. */
  async stop(): Promise<void> {
    for (const stopTimer of this.#stopTimers.splice(0)) stopTimer()
    for (const flight of this.#flights.values()) flight.end({ kind: 'unstorable' })
  }

  /** Looks an answer up, or finds out who computes it. Throws `client_closed` when `signal` aborts while it waits. */
  async turn(entry: CacheEntry, signal: AbortSignal): Promise<CacheTurn> {
    const { clock, waitMs } = this.#options
    const untilMs = clock.now() + waitMs
    for (let leaders = 0; leaders < leadersMax; leaders++) {
      const known = this.#look(entry)
      if (known) return { kind: 'hit', answer: known, waited: leaders > 0 }
      const flight = this.#flights.get(entry.id)
      if (!flight) return this.#lead(entry, untilMs, signal)
      const end = await this.#wait(flight.ended, untilMs, signal)
      if (end?.kind === 'answer') return { kind: 'hit', answer: end.answer, waited: true }
      if (end?.kind !== 'failed') return { kind: 'alone' }
    }
    return { kind: 'alone' }
  }

  /** Forgets a tenant's answers in this process and in the shared store. Rejects when the latter cannot be reached. */
  async eraseTenant(tenantId: string): Promise<void> {
    for (const [id, kept] of this.#kept.entries()) if (kept.tenantId === tenantId) this.#kept.delete(id)
    await this.#options.shared?.eraseTenant(tenantId)
  }

  /** Forgets everything in this process; what the shared store has expires by itself. */
  clear(): void {
    this.#kept.clear()
  }

  #look({ id, ttlMs = this.#options.ttlMs }: CacheEntry): Answer | undefined {
    const kept = this.#kept.get(id)
    if (!kept) return undefined
    const nowMs = this.#options.clock.now()
    if (nowMs < Math.min(kept.untilMs, kept.answer.storedAtMs + ttlMs)) return kept.answer
    this.#kept.delete(id)
    return undefined
  }

  async #lead(entry: CacheEntry, untilMs: number, signal: AbortSignal): Promise<CacheTurn> {
    const flight = this.#takeOff(entry)
    const lead: CacheTurn = { kind: 'lead', finish: (end) => this.#land(entry, flight, end) }
    const { shared, clock } = this.#options
    if (!shared) return lead
    let delayMs = pollMs.first
    try {
      for (;;) {
        const claim = await shared.claim(entry, { token: this.#token, leaseMs })
        if (claim.kind === 'lead') {
          this.#held.set(entry.id, entry)
          return lead
        }
        if (claim.kind === 'answer') {
          this.#keep(entry, claim.answer)
          flight.end(claim)
          return { kind: 'hit', answer: claim.answer, waited: false }
        }
        if (clock.now() + delayMs >= untilMs) {
          flight.end({ kind: 'unstorable' })
          return { kind: 'alone' }
        }
        await clock.sleep(delayMs, signal)
        delayMs = Math.min(pollMs.max, delayMs * 2)
      }
    } catch (err) {
      if (signal.aborted) {
        flight.end({ kind: 'failed' })
        throw gone()
      }
      this.#failed(err)
      return lead
    }
  }

  #takeOff(entry: EntryName): Flight {
    let resolve = (_: FlightEnd) => {}
    const ended = new Promise<FlightEnd>((settle) => {
      resolve = settle
    })
    const flight: Flight = {
      ended,
      end: (end) => {
        if (this.#flights.get(entry.id) === flight) this.#flights.delete(entry.id)
        resolve(end)
      },
    }
    this.#flights.set(entry.id, flight)
    return flight
  }

  #land(entry: CacheEntry, flight: Flight, end: FlightEnd): void {
    const { entryBytesMax, shared } = this.#options
    const ttlMs = this.#ttlMsOf(entry)
    const held = this.#held.delete(entry.id)
    const fits = end.kind === 'answer' && sizeOf(end.answer) <= entryBytesMax
    if (end.kind === 'answer' && fits) this.#keep(entry, end.answer)
    flight.end(end)
    if (!shared) return
    const token = this.#token
    if (end.kind === 'answer' && fits)
      shared.put(entry, end.answer, { token, ttlMs }).catch((err: unknown) => this.#failed(err))
    else if (held) shared.release(entry, { token }).catch((err: unknown) => this.#failed(err))
  }

  #keep(entry: CacheEntry, answer: Answer): void {
    if (sizeOf(answer) > this.#options.memoryBytes) return
    const untilMs = answer.storedAtMs + this.#ttlMsOf(entry)
    this.#kept.set(entry.id, { answer, tenantId: entry.tenantId, untilMs })
  }

  #ttlMsOf({ ttlMs = Number.POSITIVE_INFINITY }: CacheEntry): number {
    return Math.min(this.#options.ttlMs, ttlMs)
  }

  /** What nobody asks for any more would stay for as long as there is room. */
  #expire(): void {
    const nowMs = this.#options.clock.now()
    for (const [id, { untilMs }] of this.#kept.entries()) if (untilMs <= nowMs) this.#kept.delete(id)
  }

  /** Undefined when `untilMs` came first. */
  async #wait(ended: Promise<FlightEnd>, untilMs: number, signal: AbortSignal): Promise<FlightEnd | undefined> {
    const { clock } = this.#options
    const done = new AbortController()
    const either = eitherSignal(signal, done.signal)
    const limit = clock
      .sleep(Math.max(0, untilMs - clock.now()), either.signal)
      .then(() => undefined)
      .catch(() => {
        if (signal.aborted) throw gone()
        return undefined
      })
    try {
      return await Promise.race([ended, limit])
    } finally {
      done.abort()
      either.release()
    }
  }

  #renew(): void {
    const { shared } = this.#options
    for (const entry of this.#held.values())
      shared?.renew(entry, { token: this.#token, leaseMs }).catch((err: unknown) => this.#failed(err))
  }

  #failed(err: unknown): void {
    this.#options.onError()
    this.#options.logger.warn({ reason: describeError(err) }, 'shared answer cache cannot be reached')
  }
}

interface AnswerCacheOptions {
  clock: Clock
  logger: Logger
  /** The store that gateways share; undefined: this process alone. It stays open. */
  shared: SharedAnswers | undefined
  ttlMs: number
  /** Bound of what this process keeps. */
  memoryBytes: number
  /** A larger answer is not kept. */
  entryBytesMax: number
  /** Longest a request waits for an equal one. */
  waitMs: number
  /** Called at every trouble with the shared store. */
  onError: () => void
}

function sizeOf(answer: Answer): number {
  return Buffer.byteLength(answer.text) + 512
}

function gone(): ForebayError {
  return new ForebayError('client_closed', 'The client closed the connection.')
}
