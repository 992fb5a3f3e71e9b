import { type ChunkJob, type WorkJob, workJobSchema } from '@forebay/contracts'

/** One way to use a broker: through Forebay's core and driver, or with the bare SDK. */
export interface Contender {
  /** Stores every job; rejects when one was not. */
  send(jobs: readonly NumberedJob[]): Promise<void>
  /** Starts to receive: tells of each job when it arrives, and how many were acknowledged. */
  start(on: Listener): void
  /** Ends receiving and closes the connections. */
  stop(): Promise<void>
}

/** What a contender tells. */
export interface Listener {
  arrived(job: WorkJob): void
  acknowledged(jobs: number): void
  /** A call failed; the measurement ends. */
  failed(err: unknown): void
}

/** A job with its place in the measurement. */
export interface NumberedJob {
  readonly id: string
  readonly job: ChunkJob
}

/** What opens a contender. */
export interface ContenderOptions {
  /** QUEUE_URL of the broker. */
  readonly url: string
  /** A queue name that no measurement used before. */
  readonly name: string
}

/** Seconds a received job is leased: longer than any measurement. */
export const leaseSeconds = 60

const entries = Buffer.alloc(64 * 24, 7).toString('base64')

/** Jobs as the scheduler sends them: 64 requests by reference, about 2.3 KB. */
export function chunkJobs(from: number, count: number): NumberedJob[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `batch_bench.${from + i}.1`,
    job: {
      v: 1,
      kind: 'chunk',
      batchId: 'batch_bench',
      tenantId: 'tenant_bench',
      apiKeyId: 'key_bench',
      chunk: from + i,
      attempt: 1,
      endpoint: '/v1/chat/completions',
      model: 'bench',
      pool: 'bench',
      lane: 'batch',
      inputKey: 'files/bench',
      entries,
      deadlineMs: 4_102_444_800_000,
    },
  }))
}

/** A job's bytes, as a program without Forebay would write them. */
export function encode(job: ChunkJob): Buffer {
  return Buffer.from(JSON.stringify(job))
}

/** Reads and checks a job, which any consumer has to do. */
export function decode(body: Uint8Array | string): WorkJob {
  return workJobSchema.parse(JSON.parse(typeof body === 'string' ? body : Buffer.from(body).toString()))
}

/** Calls `step` over and over in so many loops at once, until `stop` aborts. */
export function inLoops(options: {
  loops: number
  stop: AbortSignal
  on: Listener
  step: () => Promise<void>
}): Promise<unknown> {
  const { loops, on, step, stop } = options
  const loop = async () => {
    while (!stop.aborted) await step()
  }
  return Promise.all(
    Array.from({ length: loops }, () =>
      loop().catch((err: unknown) => {
        if (!stop.aborted) on.failed(err)
      }),
    ),
  )
}

/** Runs `send` on slices of the items, so many at once. */
export async function inSlices<T>(
  items: readonly T[],
  options: { size: number; width: number },
  send: (slice: readonly T[]) => Promise<void>,
): Promise<void> {
  let next = 0
  const sendNext = async () => {
    while (next < items.length) {
      const from = next
      next += options.size
      await send(items.slice(from, from + options.size))
    }
  }
  await Promise.all(Array.from({ length: options.width }, sendNext))
}
