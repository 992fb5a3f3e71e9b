import type { StepProfile } from '@forebay/engine-model'
import { EngineModel, type StepResult } from '@forebay/engine-model'
import type { Clock } from '@forebay/kernel'
import type { Engine, EngineWork } from './engine.ts'
import type { Settings } from './settings.ts'

/** Steps run in one go before the event loop gets a turn. */
const stepsPerTurn = 32
/** When the machine is this far behind the model, the model waits for it rather than rushing to catch up. */
const debtMaxMs = 250

/**
 * Runs the step model on a clock. A step is computed when it begins and told when it ends; what falls due together is
 * told together, since timers are no finer than a millisecond. No timer runs while the engine is empty.
 */
export class SteppedEngine implements Engine {
  readonly #model: EngineModel<EngineWork>
  readonly #clock: Clock
  readonly #speed: number
  /** Work dropped while the step that served it was under way: its token must not be told. */
  readonly #aborted = new WeakSet<EngineWork>()
  #step: StepResult<EngineWork> | undefined
  /** When the step under way ends, with fractions of a millisecond. */
  #dueMs = 0
  #cancel: (() => void) | undefined
  #wedged = false
  #stopped = false

  constructor(settings: Settings, profile: StepProfile) {
    this.#model = new EngineModel(profile, { ...settings.limits, schedulingPolicy: settings.schedulingPolicy })
    this.#clock = settings.clock
    this.#speed = settings.speed
  }

  get running(): number {
    return this.#model.running
  }

  get waiting(): number {
    return this.#model.waiting
  }

  get kvUsage(): number {
    return this.#model.kvUsage
  }

  get preemptions(): number {
    return this.#model.counters.preemptions
  }

  get prefixCacheQueries(): number {
    return this.#model.counters.prefixCacheQueries
  }

  get prefixCacheHits(): number {
    return this.#model.counters.prefixCacheHits
  }

  get steps(): number {
    return this.#model.counters.steps
  }

  get wedged(): boolean {
    return this.#wedged
  }

  set wedged(value: boolean) {
    this.#wedged = value
    if (value) this.#pause()
    else this.#wake()
  }

  submit(work: EngineWork): void {
    this.#model.add(work)
    this.#wake()
  }

  abort(work: EngineWork): void {
    this.#model.abort(work.id)
    this.#aborted.add(work)
  }

  stop(): void {
    this.#stopped = true
    this.#pause()
  }

  #pause(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #wake(): void {
    if (this.#cancel || this.#wedged || this.#stopped) return
    if (!this.#step) this.#dueMs = this.#clock.now()
    this.#schedule()
  }

  #schedule(): void {
    const waitMs = this.#dueMs - this.#clock.now()
    if (waitMs >= 1) this.#cancel = this.#clock.after(waitMs, () => this.#turn())
    else {
      // A new step begins in a later turn of the event loop, so that requests which arrive together start together.
      const handle = setImmediate(() => this.#turn())
      this.#cancel = () => clearImmediate(handle)
    }
  }

  #turn(): void {
    this.#cancel = undefined
    const nowMs = this.#clock.now()
    if (nowMs - this.#dueMs > debtMaxMs) this.#dueMs = nowMs
    for (let i = 0; i < stepsPerTurn && this.#dueMs - nowMs < 1; i++) {
      const ended = this.#step
      this.#step = undefined
      for (const { request, generated, cachedTokens } of ended?.emitted ?? []) {
        if (!this.#aborted.has(request)) request.onProgress(generated, cachedTokens)
      }
      if (this.#wedged || this.#stopped) return
      const begun = this.#model.step()
      if (begun.emitted.length === 0 && this.#model.running === 0) return
      this.#step = begun
      this.#dueMs += begun.durationMs / this.#speed
    }
    if (!this.#cancel) this.#schedule()
  }
}
