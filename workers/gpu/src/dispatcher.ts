import type { Batcher, BatcherCounts, EngineSample } from '@forebay/batcher'
import type { EngineMeter } from '@forebay/engine-time'
import type { Clock, Logger } from '@forebay/kernel'
import { estimatePromptTokens } from '@forebay/tokens'
import { brokenAttempt, fullFailure, isOverloadStatus } from './attempt-failures.ts'
import { type Dispatched, newlyDispatched, suspicionOf, workOf } from './dispatched.ts'
import { CallAbort } from './engine/call-abort.ts'
import type { Failure } from './engine/outcome.ts'
import type { WorkerMetrics } from './metrics.ts'
import { nextAttempt } from './next-attempt.ts'
import { Pump } from './pump.ts'
import type { ModelWork } from './residency/residency-manager.ts'
import type { AttemptEnd, Task } from './task.ts'

/** What a RequestDispatcher needs. */
export interface DispatcherOptions {
  batcher: Batcher
  clock: Clock
  logger: Logger
  metrics: WorkerMetrics
  meter: Pick<EngineMeter, 'begin' | 'leave' | 'abandon'>
  /** Attempts of a request before its failure is its result. */
  attempts: number
  isEngineUp: () => boolean
  onTrouble: (why: 'unreachable' | 'denied') => void
  /** Whether requests of a model may start now; those that may not wait beside the batcher. Each may when not given. */
  mayRun?: (model: string) => boolean
  /** Seats or room became free. */
  onFree: () => void
}

/** Runs what the batcher lets in, and decides after each failed attempt whether there is another. */
export class RequestDispatcher {
  readonly #options: DispatcherOptions
  readonly #entries = new Map<string, Dispatched>()
  readonly #pump: Pump

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#pump = new Pump({ clock: options.clock, work: (nowMs) => this.#admit(nowMs) })
  }

  get counts(): BatcherCounts {
    return this.#options.batcher.counts()
  }

  get ceilings(): Pick<BatcherCounts, 'ceiling' | 'liveCeiling'> {
    return this.#options.batcher.ceilings()
  }

  /** Takes a request on. Its id must not be here already. */
  submit(task: Task): void {
    const { batcher, clock } = this.#options
    const parked = !this.#mayRun(task)
    this.#entries.set(task.id, newlyDispatched(task, { nowMs: clock.now(), parked }))
    if (parked) return
    batcher.add(task, { nowMs: clock.now(), suspicion: task.suspicion })
    if (task.lane === 'realtime') this.#pump.pumpAtOnce()
    else this.pump()
  }

  has(id: string): boolean {
    return this.#entries.has(id)
  }

  /**
   * Takes a request out: at once when it waits; when it runs, `abort` cuts it, else it may finish but is not tried
   * again. Unknown ids are ignored.
   */
  drop(id: string, options: { abort: boolean }): void {
    const entry = this.#entries.get(id)
    if (!entry) return
    entry.unwanted = true
    if (!entry.abort) {
      this.#end(entry)
      entry.task.dropped()
      this.#forget(entry)
    } else if (options.abort) this.#cut(entry, 'dropped')
  }

  /** When the attempt of it that is under way began (epoch ms); undefined while it waits. */
  startedMsOf(id: string): number | undefined {
    const entry = this.#entries.get(id)
    return entry?.abort ? entry.startedMs : undefined
  }

  /** What each model has to do here. */
  work(): Map<string, ModelWork> {
    return workOf(this.#entries.values())
  }

  /** Which models may run has changed: what may not and does not run waits beside the batcher, what may goes back in. */
  sort(): void {
    const { batcher, clock } = this.#options
    for (const entry of this.#entries.values()) {
      const { abort, parked, task } = entry
      if (abort || parked !== this.#mayRun(task)) continue
      entry.parked = !parked
      if (entry.parked) batcher.remove(task.id)
      else batcher.add(task, { nowMs: clock.now(), suspicion: suspicionOf(entry, this.#options.attempts) })
    }
    this.pump()
  }

  #mayRun({ model }: Task): boolean {
    return this.#options.mayRun?.(model) ?? true
  }

  /** Takes out each task for which `which` holds, cutting it if it runs. */
  dropAll(which: (task: Task) => boolean): void {
    for (const { task } of [...this.#entries.values()]) if (which(task)) this.drop(task.id, { abort: true })
  }

  /** The engine is gone or wedged: cuts every attempt; each counts, for one of them may be the cause. */
  cutAll(): void {
    for (const entry of this.#entries.values()) if (entry.abort) this.#cut(entry, 'engine')
  }

  /** A live request's stream brought something. */
  progressed(id: string): void {
    this.#options.batcher.progressed(id, this.#options.clock.now())
    this.pump()
  }

  observe(sample: EngineSample): void {
    this.#options.batcher.observe(sample)
    this.pump()
  }

  /** Lets in what may start now. However many calls come in one turn of the event loop, the work is done once. */
  pump(): void {
    this.#pump.pump()
  }

  /** Ends the timer; nothing more is admitted by itself. */
  stop(): void {
    this.#pump.stop()
  }

  /** Answers when there will be more to let in. */
  #admit(nowMs: number): number | undefined {
    const { batcher, isEngineUp, metrics } = this.#options
    if (!isEngineUp()) return undefined
    const admitted = batcher.admit(nowMs)
    if (admitted.length > 0) metrics.admitted.observe(admitted.length)
    for (const request of admitted) {
      const entry = this.#entries.get(request.id)
      if (entry) void this.#run(entry)
      else batcher.finished(request.id, null, nowMs)
    }
    for (const { id, retryAfterMs } of batcher.hopeless(nowMs)) {
      const entry = this.#entries.get(id)
      if (!entry) continue
      this.#end(entry)
      entry.task.fail({ ...fullFailure, retryAfterMs })
      this.#forget(entry)
    }
    for (const id of batcher.victims(nowMs)) {
      const entry = this.#entries.get(id)
      if (entry?.abort) this.#cut(entry, 'preempted')
    }
    return batcher.nextDueMs(nowMs)
  }

  async #run(entry: Dispatched): Promise<void> {
    const { attempts, batcher, clock, meter, metrics, onFree } = this.#options
    const abort = new CallAbort()
    entry.abort = abort
    entry.startedMs = clock.now()
    meter.begin(entry.task.id, estimatePromptTokens(entry.task.bytes), entry.startedMs)
    let end: AttemptEnd | undefined
    try {
      end = await entry.task.attempt(abort, entry.tries)
    } catch (err) {
      if (!abort.aborted) end = brokenAttempt(err)
    }
    entry.abort = undefined
    const ended = end?.kind === 'ended' ? end : undefined
    const usage = end && end.kind !== 'failure' ? end.usage : null
    const nowMs = clock.now()
    meter.leave(entry.task.id, nowMs)
    batcher.finished(entry.task.id, usage, nowMs)
    if (end?.kind === 'failure' && isOverloadStatus(end)) batcher.refused(nowMs, end.retryAfterMs)
    if (entry.suspect && end && end.kind !== 'failure') batcher.suspectEnded(true)
    if (ended) {
      this.#end(entry)
      this.#forget(entry)
    } else if (end?.kind === 'unwanted' && !entry.unwanted) {
      metrics.retries.inc({ reason: 'check' })
      entry.suspect = false
      entry.cut = undefined
      batcher.add(entry.task, { nowMs, suspicion: suspicionOf(entry, attempts) })
    } else this.#again(entry, end?.kind === 'failure' ? end : undefined)
    this.pump()
    onFree()
  }

  #again(entry: Dispatched, failure: Failure | undefined): void {
    const { attempts, batcher, clock, isEngineUp, metrics, onTrouble } = this.#options
    const { task, cut } = entry
    entry.cut = undefined
    const why = cut ?? failure?.reason ?? 'lost'
    if (entry.unwanted) {
      this.#end(entry)
      task.dropped()
      this.#forget(entry)
      return
    }
    metrics.retries.inc({ reason: why })
    const nowMs = clock.now()
    if (why === 'down' && isEngineUp()) onTrouble('unreachable')
    if (why === 'denied') onTrouble('denied')
    const next = nextAttempt(entry, { failure, why, nowMs, attempts })
    if (why === 'lost' || why === 'engine') {
      if (entry.suspect) batcher.suspectEnded(false)
      entry.suspect = true
    }
    if (next.kind === 'fails') {
      this.#end(entry)
      task.fail(next.failure)
      this.#forget(entry)
    } else if (!this.#mayRun(task)) entry.parked = true
    else {
      const { first, notBeforeMs } = next
      batcher.add(task, { nowMs, notBeforeMs, first, suspicion: suspicionOf(entry, attempts) })
    }
  }

  #cut(entry: Dispatched, why: 'preempted' | 'engine' | 'dropped'): void {
    entry.cut ??= why
    entry.abort?.abort(new Error(why))
  }

  #end(entry: Dispatched): void {
    this.#entries.delete(entry.task.id)
    this.#options.batcher.remove(entry.task.id)
  }

  /** Engine time that went into no result. */
  #forget(entry: Dispatched): void {
    this.#options.meter.abandon(entry.task.id, this.#options.clock.now())
  }
}
