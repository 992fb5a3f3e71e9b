import { backoffMs, type Clock, type Logger } from '@forebay/kernel'
import type { LocalScaler } from '../start-autoscaler.ts'

/** A worker process. */
export interface LocalWorker {
  /** Resolves when it is gone, however it went. */
  readonly gone: Promise<unknown>
  /** Asks it to drain; resolves when it is gone. */
  stop(): Promise<void>
}

/** Starts worker processes on this machine and lets them drain; one that dies is started again, ever later while it keeps dying. */
export class LocalWorkers implements LocalScaler {
  readonly pool: string
  readonly #options: { start: () => LocalWorker; clock: Clock; logger: Logger; pool: string }
  readonly #running: LocalWorker[] = []
  readonly #leaving = new Set<Promise<void>>()
  #wanted = 0
  #deaths = 0
  #cancelRetry: (() => void) | undefined
  #stopped = false

  constructor(options: { start: () => LocalWorker; clock: Clock; logger: Logger; pool: string }) {
    this.#options = options
    this.pool = options.pool
  }

  /** Processes that run and are to run on. */
  get running(): number {
    return this.#running.length
  }

  /** Processes that drain. */
  get draining(): number {
    return this.#leaving.size
  }

  scale(replicas: number): void {
    if (this.#stopped) return
    this.#wanted = replicas
    while (this.#running.length > replicas) this.#leave()
    if (this.#cancelRetry === undefined) while (this.#running.length < replicas) this.#start()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelRetry?.()
    while (this.#running.length > 0) this.#leave()
    await Promise.all(this.#leaving)
  }

  #start(): void {
    const { clock, logger, pool } = this.#options
    const worker = this.#options.start()
    const startedMs = clock.now()
    this.#running.push(worker)
    void worker.gone.then(() => {
      const at = this.#running.indexOf(worker)
      if (at < 0) return
      this.#running.splice(at, 1)
      this.#deaths = clock.now() - startedMs > 60_000 ? 1 : this.#deaths + 1
      const waitMs = backoffMs(this.#deaths, { firstMs: 250, maxMs: 60_000 })
      logger.warn({ pool, waitMs }, 'a local worker ended by itself and is started again')
      this.#cancelRetry ??= clock.after(waitMs, () => {
        this.#cancelRetry = undefined
        this.scale(this.#wanted)
      })
    })
  }

  #leave(): void {
    // The newest has the least on hand.
    const worker = this.#running.pop()
    if (!worker) return
    const left: Promise<void> = worker.stop().finally(() => this.#leaving.delete(left))
    this.#leaving.add(left)
  }
}
