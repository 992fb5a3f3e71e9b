import type { FixedProfile } from '@forebay/engine-model'
import { type Queued, WaitingQueue } from '@forebay/engine-model'
import type { Clock } from '@forebay/kernel'
import type { Engine, EngineWork } from './engine.ts'
import type { Settings } from './settings.ts'

/**
 * Answers each request whole, a fixed time after it gets one of `maxNumSeqs` seats; at 0 ms within `submit`. It has
 * no KV memory and no prefix cache: the least work per request, for measuring what stands in front of it.
 */
export class FixedEngine implements Engine {
  readonly kvUsage = 0
  readonly preemptions = 0
  readonly prefixCacheQueries = 0
  readonly prefixCacheHits = 0
  readonly steps = 0
  readonly #clock: Clock
  readonly #answerMs: number
  readonly #seats: number
  readonly #waiting: WaitingQueue<Entry>
  readonly #entries = new Map<EngineWork, Entry>()
  #running = 0
  #arrivals = 0
  #wedged = false
  #stopped = false

  constructor(settings: Settings, profile: FixedProfile) {
    this.#clock = settings.clock
    this.#answerMs = profile.answerMs / settings.speed
    this.#seats = settings.limits.maxNumSeqs
    this.#waiting = new WaitingQueue(settings.schedulingPolicy)
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#entries.size - this.#running
  }

  get wedged(): boolean {
    return this.#wedged
  }

  set wedged(value: boolean) {
    this.#wedged = value
    if (!value) {
      for (const entry of [...this.#entries.values()]) if (entry.due) this.#finish(entry)
      this.#fill()
    }
  }

  submit(work: EngineWork): void {
    const entry: Entry = { work, priority: work.priority ?? 0, arrival: this.#arrivals++, live: true, due: false }
    this.#entries.set(work, entry)
    this.#waiting.push(entry)
    this.#fill()
  }

  abort(work: EngineWork): void {
    const entry = this.#entries.get(work)
    if (!entry) return
    this.#leave(entry)
    this.#fill()
  }

  stop(): void {
    this.#stopped = true
    for (const entry of [...this.#entries.values()]) this.#leave(entry)
  }

  #fill(): void {
    while (this.#running < this.#seats && !this.#wedged && !this.#stopped) {
      const entry = this.#waiting.pop()
      if (!entry) return
      this.#running++
      if (this.#answerMs === 0) {
        entry.cancel = () => {}
        this.#finish(entry)
      } else entry.cancel = this.#clock.after(this.#answerMs, () => this.#finish(entry))
    }
  }

  #finish(entry: Entry): void {
    entry.due = true
    if (this.#wedged) return
    this.#leave(entry)
    entry.work.onProgress(entry.work.outputTokens, 0)
    // At 0 ms the loop in #fill goes on by itself; calling it from here would nest once per waiting request.
    if (this.#answerMs > 0) this.#fill()
  }

  #leave(entry: Entry): void {
    if (!this.#entries.delete(entry.work)) return
    entry.live = false
    if (entry.cancel) this.#running--
    entry.cancel?.()
  }
}

interface Entry extends Queued {
  readonly work: EngineWork
  live: boolean
  /** Its time is up, but the engine is wedged. */
  due: boolean
  /** Present once it has a seat. */
  cancel?: () => void
}
