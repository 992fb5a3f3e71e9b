import { bareWorkJob, queueName, type WorkJob, workJobSchema } from '@forebay/contracts'
import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { JobReceiver, type LeasedJob, makeJsonCodec } from '@forebay/queue-core'
import type { Database } from '@forebay/store'

const jobsMax = 32
const waitMs = 200

/**
 * Empties the batch queues of drained pools: takes the chunks that no worker there holds back from the broker, to be
 * released elsewhere. What a worker holds it may finish.
 */
export class TakeBack implements Running {
  readonly #options: {
    db: Database
    pools: Pools
    clock: Clock
    logger: Logger
    leaseMs: number
    drained: () => readonly string[]
  }
  readonly #receivers = new Map<string, JobReceiver<WorkJob>>()

  constructor(options: {
    db: Database
    pools: Pools
    clock: Clock
    logger: Logger
    leaseMs: number
    drained: () => readonly string[]
  }) {
    this.#options = options
  }

  /** One round over the drained pools; true when there was something to take. A pool that cannot be reached is logged and left. */
  async run(): Promise<boolean> {
    const { drained, logger } = this.#options
    const names = drained()
    for (const [name, receiver] of this.#receivers) {
      if (names.includes(name)) continue
      this.#receivers.delete(name)
      await receiver.stop()
    }
    const taken = await Promise.all(
      names.map((name) =>
        this.#take(name).catch((err: unknown) => {
          logger.warn({ pool: name, reason: describeError(err) }, 'chunks of a drained pool not taken back')
          return 0
        }),
      ),
    )
    return taken.some((count) => count > 0)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#receivers.values()].map((receiver) => receiver.stop()))
  }

  async #take(pool: string): Promise<number> {
    const receiver = await this.#receiver(pool)
    const jobs = await receiver.receive({ max: jobsMax, waitMs })
    // The pool may have come into use again while this waited: what was sent to it since is its workers'.
    const empties = this.#options.drained().includes(pool)
    const chunks = empties ? jobs.filter(({ job }) => job.kind === 'chunk') : []
    await this.#plan(pool, chunks)
    for (const job of jobs) {
      await receiver.settle(job, chunks.includes(job) ? { kind: 'done' } : { kind: 'snooze', delayMs: 0 })
    }
    if (chunks.length > 0)
      this.#options.logger.info({ pool, chunks: chunks.length }, 'chunks taken back from a drained pool')
    return chunks.length
  }

  async #plan(pool: string, jobs: readonly LeasedJob<WorkJob>[]): Promise<void> {
    const chunks = jobs.flatMap(({ job }) => (job.kind === 'chunk' ? [job] : []))
    if (chunks.length === 0) return
    await this.#options.db.query(
      `UPDATE chunks c SET status = 'planned' FROM unnest($1::text[], $2::int[], $3::int[]) AS t (batch_id, index, attempt)
       WHERE c.batch_id = t.batch_id AND c.index = t.index AND c.attempt = t.attempt AND c.status = 'released' AND c.pool = $4`,
      [chunks.map((c) => c.batchId), chunks.map((c) => c.chunk), chunks.map((c) => c.attempt), pool],
    )
    await this.#options.db.query("SELECT pg_notify('forebay_progress', '')")
  }

  async #receiver(pool: string): Promise<JobReceiver<WorkJob>> {
    const known = this.#receivers.get(pool)
    if (known) return known
    const { clock, leaseMs, logger, pools } = this.#options
    const driver = (await pools.queues(pool)).queue(queueName(pool, 'batch'))
    const codec = makeJsonCodec<WorkJob>(workJobSchema, bareWorkJob)
    const receiver = new JobReceiver<WorkJob>({
      driver,
      codec,
      clock,
      logger,
      leaseMs,
      maxAttempts: Number.MAX_SAFE_INTEGER,
    })
    this.#receivers.set(pool, receiver)
    return receiver
  }
}
