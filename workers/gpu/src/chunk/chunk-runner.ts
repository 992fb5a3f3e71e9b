import type { BlobStore } from '@forebay/blobs'
import type { ChunkJob, Lane, WorkJob } from '@forebay/contracts'
import type { Running } from '@forebay/kernel'
import type { JobReceiver, LeasedJob } from '@forebay/queue-core'
import { settleDone } from '../settle-done.ts'
import type { WorkerTools } from '../tools.ts'
import { type ByteBudget, makeByteBudget } from './byte-budget.ts'
import { type CheckBook, makeCheckBook } from './check-book.ts'
import { HeldChunk, type StopReason } from './held-chunk.ts'

/** Runs the chunks this worker holds, and tells of each that it is held three times per chunk lease. */
export class ChunkRunner implements Running {
  readonly #options: ChunkRunnerOptions
  readonly #budget: ByteBudget
  readonly #checks: CheckBook
  readonly #held = new Map<HeldChunk, Promise<void>>()
  #stopBeat: (() => void) | undefined
  #serial = 0

  constructor(options: ChunkRunnerOptions) {
    this.#options = options
    this.#budget = makeByteBudget(options.bytesMax)
    this.#checks = makeCheckBook()
  }

  /** Starts the heartbeat. Safe to repeat. */
  start(): void {
    const { chunkLeaseMs, tools } = this.#options
    this.#stopBeat ??= tools.clock.every(Math.max(100, Math.floor(chunkLeaseMs / 3)), () => {
      for (const chunk of this.#held.keys()) chunk.sayHeld()
    })
  }

  /** Requests of a lane without a result. */
  onHand(lane: Lane): number {
    let count = 0
    for (const chunk of this.#held.keys()) if (chunk.job.lane === lane) count += chunk.onHand
    return count
  }

  /** Takes a chunk on and settles its job in the end. */
  onJob(leased: LeasedJob<ChunkJob>, receiver: Pick<JobReceiver<WorkJob>, 'settle'>): void {
    const { blobs, tools } = this.#options
    for (const older of this.#held.keys()) {
      const same = older.job.batchId === leased.job.batchId && older.job.chunk === leased.job.chunk
      if (same && older.job.attempt < leased.job.attempt) older.stop('superseded', { abort: true })
    }
    const nextSerial = () => ++this.#serial
    const chunk = new HeldChunk({ leased, tools, blobs, budget: this.#budget, nextSerial, checks: this.#checks })
    const run = async () => {
      const { clock, logger } = tools
      try {
        if (await chunk.run()) await settleDone({ receiver, leased, clock, logger })
      } catch (err) {
        // A bug in ours: delivered again, the chunk is handed back and its missing lines are released anew.
        logger.error({ jobId: leased.id, err }, 'chunk failed')
        await receiver.settle(leased, { kind: 'retry', delayMs: 1_000, reason: 'failed' }).catch(() => undefined)
      }
      this.#held.delete(chunk)
      tools.onFree()
    }
    this.#held.set(chunk, run())
  }

  /** Starts nothing more of a batch; what runs may finish. */
  cancelBatch(batchId: string): void {
    for (const chunk of this.#held.keys()) {
      if (chunk.job.batchId === batchId) chunk.stop('cancelled', { abort: false })
    }
  }

  /** Hands back what has no result of every chunk for which `which` holds; with `abort` also what runs. */
  returnAll(reason: StopReason, options: { abort: boolean }, which: (job: ChunkJob) => boolean = () => true): void {
    for (const chunk of this.#held.keys()) if (which(chunk.job)) chunk.stop(reason, options)
  }

  /** Resolves when every job held now is settled. */
  async idle(): Promise<void> {
    await Promise.all(this.#held.values())
  }

  async stop(): Promise<void> {
    this.#stopBeat?.()
    this.#stopBeat = undefined
  }
}

/** What a ChunkRunner needs. */
export interface ChunkRunnerOptions {
  tools: WorkerTools
  blobs: Pick<BlobStore, 'size' | 'readRange'>
  chunkLeaseMs: number
  /** Bytes of lines held at once. */
  bytesMax: number
}
