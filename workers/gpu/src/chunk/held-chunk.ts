import type { BlobStore } from '@forebay/blobs'
import { blobKeys, type ChunkJob } from '@forebay/contracts'
import { backoffMs, describeError, isForebayError } from '@forebay/kernel'
import { decodePlanEntries, isSameAsPrevious, type PlanEntry, planEntryBytes } from '@forebay/plan'
import type { LeasedJob } from '@forebay/queue-core'
import type { WorkerTools } from '../tools.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { CheckBook, UsableCheck } from './check-book.ts'
import { makeCheckedLine } from './checked-line.ts'
import { LineFamily } from './line-family.ts'
import { type LineEnd, LineTask, readLine } from './line-task.ts'
import { groupsOf, readLines } from './read-lines.ts'

// An input file that cannot be found may be a folder not mounted yet; after this long the chunk is handed back.
const notFoundTries = 8
// What a timer can hold. A chunk is not held for so long.
const timerMsMax = 2 ** 31 - 1

/** Why no more of a chunk is started here. `lost`: another worker may have it, so nothing more is said of it. */
export type StopReason =
  | 'redelivered'
  | 'cancelled'
  | 'deadline'
  | 'drain'
  | 'engine down'
  | 'superseded'
  | 'unreadable'
  | 'lost'

/**
 * A chunk that this worker holds.
 *
 *   received ──(redelivered, cancelled, too late)──────────────▶ returned
 *      └──lines read, run, results stored──▶ all: done   some (drain, engine down, …): returned
 */
export class HeldChunk {
  readonly job: ChunkJob
  readonly total: number
  readonly #entries: Buffer
  readonly #leased: LeasedJob<ChunkJob>
  readonly #tools: WorkerTools
  readonly #blobs: Pick<BlobStore, 'size' | 'readRange'>
  readonly #budget: ByteBudget
  readonly #nextSerial: () => number
  readonly #stopping = new AbortController()
  readonly #open = new Set<string>()
  #stopped: StopReason | undefined
  /** Requests that go to the engine, without those that share the answer of one. */
  #runs = 0
  #ended = 0
  /** Entries of the plan that were taken, in its order. */
  #taken = 0
  /** Lines taken whose result is not stored yet, and what is called when there is none. */
  #unsettled = 0
  #onSettled: (() => void) | undefined
  /** Of the line that ran last, if the next may share its answer; and of all that run. */
  #family: LineFamily | undefined
  readonly #families = new Map<LineTask, LineFamily>()
  #stored = 0
  #noteUnsent = false
  readonly #check: UsableCheck | undefined

  constructor(options: {
    leased: LeasedJob<ChunkJob>
    tools: WorkerTools
    blobs: Pick<BlobStore, 'size' | 'readRange'>
    budget: ByteBudget
    nextSerial: () => number
    checks: CheckBook
  }) {
    this.#leased = options.leased
    this.job = options.leased.job
    this.#tools = options.tools
    this.#blobs = options.blobs
    this.#budget = options.budget
    this.#nextSerial = options.nextSerial
    this.#check = this.job.check && options.checks.use(this.job.check)
    this.#entries = Buffer.from(this.job.entries, 'base64')
    this.total = Math.floor(this.#entries.length / planEntryBytes)
    for (let i = 0; i < this.total; i++) if (!isSameAsPrevious(this.#entries, i)) this.#runs++
  }

  /** Requests of it that are to run and have no result yet. */
  get onHand(): number {
    return this.#stopped ? this.#open.size : Math.max(0, this.#runs - this.#ended)
  }

  /** Tells that it is still held, unless the last such note is still on its way. */
  sayHeld(): void {
    if (this.#noteUnsent || this.#stopped === 'lost') return
    this.#noteUnsent = true
    void this.#note('held').then(() => {
      this.#noteUnsent = false
    })
  }

  /** Starts nothing more; with `abort` also cuts what runs. Safe to repeat. */
  stop(reason: StopReason, options: { abort: boolean }): void {
    this.#stopped ??= reason
    if (reason === 'lost') this.#stopped = reason
    this.#stopping.abort()
    for (const id of [...this.#open]) this.#tools.dispatcher.drop(id, options)
  }

  /** Runs it to its end. Resolves when its job may be settled as done, answering false when its lease was lost. */
  async run(): Promise<boolean> {
    const { clock, logger } = this.#tools
    const { lost } = this.#leased
    const onLost = () => this.stop('lost', { abort: true })
    lost.addEventListener('abort', onLost, { once: true })
    const untilDeadline = this.job.deadlineMs - clock.now()
    const cancelDeadline =
      untilDeadline < timerMsMax
        ? clock.after(Math.max(0, untilDeadline), () => this.stop('deadline', { abort: false }))
        : () => {}
    this.sayHeld()
    try {
      if (this.#leased.attempt > 1) this.stop('redelivered', { abort: false })
      else if (untilDeadline <= 0) this.stop('deadline', { abort: false })
      else await this.#start()
    } catch (err) {
      logger.error({ jobId: this.#leased.id, error: describeError(err) }, 'chunk could not be started')
      this.stop('unreadable', { abort: false })
    }
    if (this.#unsettled > 0) await new Promise<void>((resolve) => (this.#onSettled = resolve))
    cancelDeadline()
    lost.removeEventListener('abort', onLost)
    if (lost.aborted) return false
    if (this.#stored < this.total) {
      const fields = { jobId: this.#leased.id, why: this.#stopped, unfinished: this.total - this.#stored }
      logger.info(fields, 'chunk handed back')
      await this.#note('returned')
    }
    return !lost.aborted
  }

  async #start(): Promise<void> {
    const { batchId, tenantId } = this.job
    const marker = await this.#read('cancel marker', () => this.#blobs.size(blobKeys.cancelled(tenantId, batchId)))
    if (marker !== undefined) this.stop('cancelled', { abort: false })
    for (const group of groupsOf(decodePlanEntries(this.#entries))) {
      if (this.#stopped) return
      await this.#startGroup(group)
    }
  }

  async #startGroup(group: readonly PlanEntry[]): Promise<void> {
    let unstarted = group.reduce((sum, entry) => sum + entry.length, 0)
    await this.#budget.take(unstarted)
    try {
      const { inputKey } = this.job
      const lines = readLines(group, (start, end) =>
        this.#read('input file', () => this.#blobs.readRange(inputKey, start, end)),
      )
      for (const [i, entry] of group.entries()) {
        const line = await lines[i]
        if (!line || this.#stopped) return
        unstarted -= entry.length
        this.#takeLine(entry, line)
      }
    } finally {
      this.#budget.give(unstarted)
    }
  }

  /** Starts a line, or lets it wait for the answer to the same request. */
  #takeLine(entry: PlanEntry, line: Buffer): void {
    const request = readLine(line)
    const index = this.#taken++
    this.#unsettled++
    if (isSameAsPrevious(this.#entries, index)) {
      if (request && this.#family?.body.equals(request.body)) {
        this.#budget.give(entry.length)
        const { customId } = request
        void this.#family.join({ entry, customId, receivedAtMs: this.#tools.clock.now() }).then(this.#settleOne)
        return
      }
      // The plan knows bodies by a part of their digest only.
      this.#runs++
    }
    const task = new LineTask({
      tools: this.#tools,
      job: this.job,
      entry,
      request,
      check: this.#check && makeCheckedLine(this.#check),
      taskId: `${this.job.batchId}:${entry.line}:${this.#nextSerial()}`,
      onEnd: this.#onEnd,
    })
    this.#family = isSameAsPrevious(this.#entries, index + 1) ? this.#familyOf(task, request?.body ?? line) : undefined
    this.#open.add(task.id)
    if (request) this.#tools.dispatcher.submit(task)
    else task.refuse()
  }

  #familyOf(task: LineTask, body: Buffer): LineFamily {
    const { flusher, metrics } = this.#tools
    const family = new LineFamily({
      body,
      store: async (finished) => {
        metrics.identical.inc({ model: this.job.model })
        await new Promise<void>((resolve) => flusher.add(finished, resolve))
        this.#stored++
      },
      wanted: () => this.#stopped !== 'lost',
    })
    this.#families.set(task, family)
    return family
  }

  readonly #onEnd = (task: LineTask, end: LineEnd | undefined): void => {
    this.#open.delete(task.id)
    this.#ended++
    this.#budget.give(task.entry.length)
    this.#families.get(task)?.end(end)
    this.#families.delete(task)
    if (end) this.#tools.flusher.add(end.finished, this.#onStored)
    else this.#settleOne()
  }

  readonly #onStored = (): void => {
    this.#stored++
    this.#settleOne()
  }

  readonly #settleOne = (): void => {
    if (--this.#unsettled === 0) this.#onSettled?.()
  }

  #note(state: 'held' | 'returned'): Promise<void> {
    const { attempt, batchId, chunk, tenantId } = this.job
    return this.#tools.flusher.note(tenantId, { batchId, chunk, attempt, state })
  }

  /** Reads from the blob store, again and again while that is down; undefined once the chunk is stopped. */
  async #read<T>(what: string, read: () => Promise<T>): Promise<T | undefined> {
    const { clock, logger } = this.#tools
    for (let tries = 1; !this.#stopped; tries++) {
      try {
        return await read()
      } catch (err) {
        if (isForebayError(err) && err.code === 'not_found' && tries >= notFoundTries) throw err
        const retryMs = backoffMs(tries, { firstMs: 200, maxMs: 5_000 })
        logger.warn({ what, jobId: this.#leased.id, retryMs, error: describeError(err) }, 'blob could not be read')
        await clock.sleep(retryMs, this.#stopping.signal).catch(() => undefined)
      }
    }
    return undefined
  }
}
