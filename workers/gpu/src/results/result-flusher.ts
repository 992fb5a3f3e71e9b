import type { BlobStore } from '@forebay/blobs'
import type { ChunkNote, ResultEvent } from '@forebay/contracts'
import type { EngineMeter } from '@forebay/engine-time'
import type { Clock, Logger, Running } from '@forebay/kernel'
import type { JobSender } from '@forebay/queue-core'
import type { WorkerMetrics } from '../metrics.ts'
import { type FinishedRequest, makeEventStore, type Told } from './event-store.ts'

interface Pending {
  readonly finished: FinishedRequest | undefined
  readonly note: ChunkNote | undefined
  readonly stored: () => void
}

interface Group {
  readonly tenantId: string
  readonly batchId: string | null
  pending: Pending[]
  cancelTimer: (() => void) | undefined
}

/**
 * Stores results: per batch (and for all real-time requests together) one part and one result event at most every
 * 250 ms or 128 results. Trades a little latency for far fewer objects and messages. What cannot be stored is tried
 * again until it can; the caller holds its job until then, so a crash loses nothing.
 */
export class ResultFlusher implements Running {
  readonly #options: ResultFlusherOptions
  readonly #groups = new Map<string, Group>()
  readonly #flushes = new Set<Promise<void>>()
  readonly #stopping = new AbortController()
  readonly #storeEvent: (told: Told) => Promise<boolean>
  #unflushed = 0
  #lastIdle = false

  constructor(options: ResultFlusherOptions) {
    this.#options = options
    this.#storeEvent = makeEventStore({ ...options, stopping: this.#stopping.signal })
  }

  /** Results and notes not yet accepted by the results queue. */
  get unflushed(): number {
    return this.#unflushed
  }

  /** Calls `stored` once the results queue has accepted the result; never if stopped before. */
  add(finished: FinishedRequest, stored: () => void): void {
    const { tenantId, batchId } = finished.result
    this.#push(tenantId, batchId, { finished, note: undefined, stored })
  }

  /** Sends a chunk's note with the next event of its batch. Resolves when `add` would call `stored`; never rejects. */
  note(tenantId: string, note: ChunkNote): Promise<void> {
    return new Promise((stored) => this.#push(tenantId, note.batchId, { finished: undefined, note, stored }))
  }

  /** Sees to it that an event tells of the engine's idle time, also when nothing else is to be told. */
  tellIdle(): void {
    if (this.#idleIsDue(this.#options.clock.now())) this.#pushNothing()
  }

  /** Flushes all there is, waiting no longer than `withinMs` for it, then gives the rest up: its jobs run again. */
  async drain(withinMs: number): Promise<void> {
    const limit = new AbortController()
    this.#lastIdle = true
    this.#pushNothing()
    const stored = async () => {
      for (;;) {
        for (const group of this.#groups.values()) this.#flush(group)
        if (this.#flushes.size === 0) return
        await Promise.all(this.#flushes)
      }
    }
    await Promise.race([stored(), this.#options.clock.sleep(withinMs, limit.signal).catch(() => undefined)])
    limit.abort()
    await this.stop()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const group of this.#groups.values()) group.cancelTimer?.()
    await Promise.all(this.#flushes)
    if (this.#unflushed > 0) {
      this.#options.logger.warn({ unflushed: this.#unflushed }, 'stopped with results unstored; their jobs run again')
    }
  }

  #pushNothing(): void {
    this.#push('', null, { finished: undefined, note: undefined, stored: () => {} })
  }

  #push(tenantId: string, batchId: string | null, item: Pending): void {
    const key = batchId ?? ''
    const known = this.#groups.get(key)
    const group = known ?? { tenantId, batchId, pending: [], cancelTimer: undefined }
    if (!known) this.#groups.set(key, group)
    group.pending.push(item)
    this.#unflushed++
    if (group.pending.length >= this.#options.resultsMax) this.#flush(group)
    else {
      group.cancelTimer ??= this.#options.clock.after(this.#options.intervalMs, () => {
        group.cancelTimer = undefined
        this.#flush(group)
      })
    }
  }

  #idleIsDue(nowMs: number): boolean {
    return this.#lastIdle || nowMs - this.#options.meter.takenMs >= this.#options.idleEveryMs
  }

  /** What the next event is to tell of; null while it would be little. */
  #takeIdle(nowMs: number): ResultEvent['idle'] {
    if (!this.#idleIsDue(nowMs)) return null
    this.#lastIdle = false
    const { fromMs, idleMicros, toMs, unfinishedMicros } = this.#options.meter.takeInterval(nowMs)
    if (idleMicros + unfinishedMicros === 0) return null
    return { fromMs, toMs, gpuMs: idleMicros / 1000, unfinishedGpuMs: unfinishedMicros / 1000 }
  }

  #flush(group: Group): void {
    group.cancelTimer?.()
    group.cancelTimer = undefined
    this.#groups.delete(group.batchId ?? '')
    while (group.pending.length > 0) {
      const items = group.pending.splice(0, this.#options.resultsMax)
      const flush = this.#store(group, items).finally(() => this.#flushes.delete(flush))
      this.#flushes.add(flush)
    }
  }

  async #store({ batchId, tenantId }: Group, items: readonly Pending[]): Promise<void> {
    const { clock, metrics } = this.#options
    const startedMs = clock.now()
    metrics.unflushed.set(this.#unflushed)
    const finished = items.flatMap((item) => item.finished ?? [])
    const notes = items.flatMap((item) => item.note ?? [])
    if (!(await this.#storeEvent({ tenantId, batchId, finished, notes, idle: this.#takeIdle(startedMs) }))) return
    metrics.flushSeconds.observe((clock.now() - startedMs) / 1000)
    this.#unflushed -= items.length
    metrics.unflushed.set(this.#unflushed)
    for (const { stored } of items) stored()
  }
}

/** What a ResultFlusher needs. */
export interface ResultFlusherOptions {
  blobs: Pick<BlobStore, 'put'>
  sender: JobSender<ResultEvent>
  clock: Clock
  logger: Logger
  metrics: WorkerMetrics
  workerId: string
  pool: string
  intervalMs: number
  resultsMax: number
  meter: Pick<EngineMeter, 'takeInterval' | 'takenMs'>
  /** The engine's idle time is told at most so often. */
  idleEveryMs: number
}
