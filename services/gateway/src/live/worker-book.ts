import type { Announcement } from '@forebay/contracts'
import type { Clock } from '@forebay/kernel'

const announceMs = 2_000
/** A worker that was not heard of for so long is gone. */
const workerGoneMs = 3 * announceMs

/** The live workers of a pool that serve a model. */
export interface ServingPool {
  readonly name: string
  /** Requests that they can have in flight, at least 1. */
  readonly seats: number
  /** Share of the seats taken, as they said. Batch work yields to live work, so it hardly counts. */
  readonly taken: number
  /** Each has to wake or load the model first. */
  readonly asleep: boolean
}

/** The workers of all pools as they announced themselves last. Those that take work and were heard of lately are live. */
export class WorkerBook {
  readonly #clock: Clock
  readonly #workers = new Map<string, Announcement & { heardMs: number }>()
  readonly #poolHeardMs = new Map<string, number>()
  readonly #poolLostMs = new Map<string, number>()
  /** By model: every request asks, and it changes every second or two. */
  readonly #serving = new Map<string, readonly ServingPool[]>()
  #servingUntilMs = Number.NEGATIVE_INFINITY
  #servingFromMs = Number.NEGATIVE_INFINITY

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  /** Takes an announcement. */
  heard(announcement: Announcement): void {
    const heardMs = this.#clock.now()
    this.#workers.set(announcement.workerId, { ...announcement, heardMs })
    this.#servingUntilMs = Number.NEGATIVE_INFINITY
    if (announcement.healthy && !announcement.draining) this.#poolHeardMs.set(announcement.pool, heardMs)
    this.#forgetGone(heardMs)
  }

  /** The live workers. */
  live(): Announcement[] {
    const now = this.#clock.now()
    return [...this.#workers.values()].filter((worker) => isLive(worker, now))
  }

  /** The pools with a live worker whose engine has the model. */
  serving(model: string): readonly ServingPool[] {
    const now = this.#clock.now()
    if (now >= this.#servingUntilMs || now < this.#servingFromMs) this.#forget(now)
    const known = this.#serving.get(model)
    if (known) return known
    const workers = this.live().filter(({ models }) => models.some(({ id }) => id === model))
    const names = new Set(workers.map(({ pool }) => pool))
    const serving = [...names].map((name) =>
      servingPool(
        name,
        model,
        workers.filter(({ pool }) => pool === name),
      ),
    )
    // Names that clients make up are not kept.
    if (serving.length > 0) this.#serving.set(model, serving)
    return serving
  }

  /** When a worker of the pool that takes work was last heard of; long ago when never. */
  lastHeardMs(pool: string): number {
    return this.#poolHeardMs.get(pool) ?? Number.NEGATIVE_INFINITY
  }

  /**
   * The latest time at which a worker of the pool was alive that fell silent since without having said that it leaves; long ago
   * when none did. What it had taken by then may be lost.
   */
  lostMs(pool: string): number {
    this.#forgetGone(this.#clock.now())
    return this.#poolLostMs.get(pool) ?? Number.NEGATIVE_INFINITY
  }

  #forgetGone(now: number): void {
    for (const [id, { draining, heardMs, pool }] of this.#workers) {
      if (now - heardMs <= workerGoneMs) continue
      this.#workers.delete(id)
      const aliveMs = heardMs + announceMs
      if (!draining && aliveMs > (this.#poolLostMs.get(pool) ?? 0)) this.#poolLostMs.set(pool, aliveMs)
    }
  }

  /** Forgets who serves what, until the first of them is gone unless one announces itself before. */
  #forget(now: number): void {
    this.#serving.clear()
    this.#servingFromMs = now
    this.#servingUntilMs = Number.POSITIVE_INFINITY
    for (const worker of this.#workers.values()) {
      if (isLive(worker, now)) this.#servingUntilMs = Math.min(this.#servingUntilMs, worker.heardMs + workerGoneMs + 1)
    }
  }
}

function isLive(worker: Announcement & { heardMs: number }, now: number): boolean {
  return worker.healthy && !worker.draining && now - worker.heardMs <= workerGoneMs
}

function servingPool(name: string, model: string, workers: readonly Announcement[]): ServingPool {
  const seats = Math.max(
    1,
    sum(workers, ({ inFlightMax }) => inFlightMax),
  )
  const busy = sum(workers, ({ inFlight }) => inFlight.realtime + inFlight.standard + inFlight.batch / 100)
  const sleeps = (worker: Announcement) => worker.models.some(({ asleep, id }) => id === model && asleep === true)
  return { name, seats, taken: busy / seats, asleep: workers.every(sleeps) }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
