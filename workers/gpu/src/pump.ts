import type { Clock } from '@forebay/kernel'

/** Has work looked at when something changed or falls due, once however many ask in one turn of the event loop. */
export class Pump {
  readonly #clock: Clock
  readonly #work: (nowMs: number) => number | undefined
  #asked = false
  #askedAtOnce = false
  #cancelTimer: (() => void) | undefined
  #timerDueMs = 0

  /** `work` answers when it has to be done again though nobody asks (epoch ms); undefined: never. */
  constructor(options: { clock: Clock; work: (nowMs: number) => number | undefined }) {
    this.#clock = options.clock
    this.#work = options.work
  }

  /** Has the work done at the end of this turn. */
  pump(): void {
    if (this.#asked) return
    this.#asked = true
    setImmediate(() => {
      if (this.#asked) this.#run()
    })
  }

  /** The same before the turn ends: a client is waiting. */
  pumpAtOnce(): void {
    if (this.#askedAtOnce) return
    this.#askedAtOnce = true
    queueMicrotask(() => this.#run())
  }

  /** Ends the timer: the work is done only when asked for. */
  stop(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  #run(): void {
    this.#asked = false
    this.#askedAtOnce = false
    const nowMs = this.#clock.now()
    const dueMs = this.#work(nowMs)
    if (dueMs === undefined || (this.#cancelTimer && this.#timerDueMs <= dueMs)) return
    this.#cancelTimer?.()
    this.#timerDueMs = dueMs
    this.#cancelTimer = this.#clock.after(Math.max(1, dueMs - nowMs), () => {
      this.#cancelTimer = undefined
      this.pump()
    })
  }
}
