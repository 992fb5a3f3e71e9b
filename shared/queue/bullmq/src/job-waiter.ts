import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { IQueueBackend } from 'bullmq'
import type { Broker } from './broker.ts'

/** Bounds what a wake-up lost with a crashed consumer can cost. */
const waitMsMax = 5_000
const retryMs = 200
const waitEndMsMax = 1_000

/** One blocking wait per queue, shared by all its receivers in this process. */
export class JobWaiter {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #queue: string
  readonly #operations: IQueueBackend
  readonly #closing = new AbortController()
  #waiter: IQueueBackend | undefined
  #wait: Promise<void> | undefined
  readonly #ends = new Set<() => void>()
  #receivers = 0

  constructor(options: { broker: Broker; clock: Clock; logger: Logger; queue: string; operations: IQueueBackend }) {
    this.#broker = options.broker
    this.#clock = options.clock
    this.#logger = options.logger
    this.#queue = options.queue
    this.#operations = options.operations
  }

  /** Returns when a job may be there, after `ms`, on abort, on `close`, or when the broker could not be asked. */
  async wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted || this.#closing.signal.aborted) return
    this.#receivers++
    this.#wait ??= this.#waitOnce(Math.min(ms, waitMsMax)).finally(() => {
      this.#wait = undefined
    })
    const wait = this.#wait
    // By hand: composed signals and an aborted sleep would cost more than the wait, once and more per live job.
    await new Promise<void>((resolve) => {
      const end = () => {
        cancel()
        signal?.removeEventListener('abort', end)
        this.#ends.delete(end)
        resolve()
      }
      const cancel = this.#clock.after(ms, end)
      signal?.addEventListener('abort', end, { once: true })
      this.#ends.add(end)
      void wait.then(end)
    })
    this.#receivers--
  }

  /** Ends the wait; later waits return at once. */
  async close(): Promise<void> {
    this.#closing.abort()
    for (const end of this.#ends) end()
    await this.#drop()
    // On a connection that never opened, the wait would not end.
    const ended = new AbortController()
    const late = this.#clock.sleep(waitEndMsMax, ended.signal).catch(() => undefined)
    await Promise.race([this.#wait, late])
    ended.abort()
  }

  async #waitOnce(ms: number): Promise<void> {
    try {
      this.#waiter ??= this.#broker.waiter(this.#queue, this.#operations)
      const seconds = Math.max(ms / 1_000, this.#waiter.minimumBlockTimeout)
      const wakeUp = await this.#waiter.waitForJob(seconds)
      if (wakeUp && this.#receivers === 0) await this.#broker.handBackWakeUp(this.#queue)
    } catch (err) {
      if (this.#closing.signal.aborted) return
      this.#logger.warn({ queue: this.#queue, error: describeError(err) }, 'waiting for jobs was interrupted')
      await this.#drop()
      await this.#clock.sleep(retryMs, this.#closing.signal).catch(() => undefined)
    }
  }

  async #drop(): Promise<void> {
    const waiter = this.#waiter
    this.#waiter = undefined
    if (waiter) await this.#broker.closeWaiter(waiter).catch(() => undefined)
  }
}
