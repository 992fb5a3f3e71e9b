import { type Ask, sameWindow, type Taken } from './window.ts'

/** What was set aside for one request before more was asked for. */
export interface Reserved {
  points: number
  of: number
}

/**
 * Points of one window that were counted at the store and are not used yet. They end with the window, by the time
 * at which they were asked for, so never later than it does. Below 0: used, and still to be counted.
 */
export class Allowance {
  #left = 0
  #used = 0
  #window = 0
  #endsMs = Number.NEGATIVE_INFINITY

  /** The window, as the store names it. */
  get window(): number {
    return this.#window
  }

  /** What may still be used now. */
  left(nowMs: number): number {
    if (this.ended(nowMs) && this.#left > 0) this.#left = 0
    return this.#left
  }

  /** True when its window is over, or never began. */
  ended(nowMs: number): boolean {
    return nowMs >= this.#endsMs
  }

  /** The window as its users see it: what was set aside and not used does not count. */
  state(nowMs: number): WindowState {
    const left = this.left(nowMs)
    if (this.ended(nowMs)) return { used: Math.max(0, -left), resetMs: 0 }
    return { used: this.#used - left, resetMs: this.#endsMs - nowMs }
  }

  /** Uses points, or with a negative number takes back what was used of the window named. */
  use(points: number, window = this.#window): void {
    // A window that has ended took what was used in it along: nothing of that is left to take back.
    if (points < 0 && !sameWindow(window, this.#window)) return
    this.#left -= points
  }

  /** Takes up to `points` of what is left, to be used once the rest was granted. */
  reserve(points: number, nowMs: number): Reserved {
    const reserved = Math.max(0, Math.min(points, this.left(nowMs)))
    this.#left -= reserved
    return { points: reserved, of: this.#window }
  }

  /** Puts back what was set aside. */
  release(reserved: Reserved): void {
    if (sameWindow(reserved.of, this.#window)) this.#left += reserved.points
  }

  /**
   * The ask for `need` points. A debt goes with it; with `stock`, what is missing of so many points for later requests,
   * or what there is beyond twice as many.
   */
  ask(options: { need: number; stock: number | undefined; limit: number; nowMs: number }): Ask {
    const { limit, need, nowMs, stock } = options
    const left = this.left(nowMs)
    const tooMany = stock !== undefined && left > 2 * stock
    const owed = left < 0 ? -left : tooMany ? stock - left : 0
    this.#left += owed
    return { need, owed, limit, of: this.#window, spare: Math.max(0, (stock ?? 0) - this.#left) }
  }

  /** Takes in the store's answer to an ask sent at `askedMs`: what was granted beyond what has been used is left. */
  took(taken: Taken, use: { points: number; reserved: Reserved | undefined; askedMs: number }): void {
    const { points, reserved, askedMs } = use
    if (!sameWindow(taken.window, this.#window)) {
      this.#left = Math.min(0, this.#left)
      this.#window = taken.window
    }
    this.#used = taken.used
    this.#endsMs = askedMs + taken.resetMs
    this.#left += taken.granted - points
    if (reserved && sameWindow(reserved.of, taken.window)) this.#left += reserved.points
  }

  /** The store could not be asked: what was to be counted there is still to be. */
  failed(ask: Ask): void {
    if (ask.owed > 0) this.#left -= ask.owed
  }
}

/** How much was used in a window, and when it ends. */
export interface WindowState {
  used: number
  resetMs: number
}
