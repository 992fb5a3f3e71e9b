import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { silentLogger, systemClock } from '@forebay/kernel'
import { migrate } from '@forebay/store'
import { environment, runBatch, startEngine, startOnRedis } from './forebay.ts'
import type { KeepingTask } from './keeping-process.ts'
import { type Helper, median, round, startHelper, startLoad } from './load.ts'
import { cpuPerRequest, processCpu } from './process-cpu.ts'
import type { QueueResult, QueueTask } from './queue-process.ts'
import type { Workload } from './workload.ts'

/** Requests a second of the whole pipeline, and its ratios to the two ways of doing with less. */
export interface PipelineResult {
  /** To a bare undici loop against the same engine, which keeps nothing. */
  toDirect: number
  /** To plain BullMQ on the same Redis, one job per request. */
  toBullmq: number
  /** To a loop that keeps an output line and an audit row for each answer, and nothing else. */
  toKeeping: number
  requestsPerSecond: number
  rounds: {
    pipeline: number
    direct: number
    bullmq: number
    keeping: number
    directSenderCpu: number
    bullmqSenderCpu: number
  }[]
  /** Microseconds of CPU per request by process, in the last round. Where cores are few, their sum decides. */
  cpuMicros: {
    pipeline: Record<string, number>
    direct: Record<string, number>
    bullmq: Record<string, number>
    keeping: Record<string, number>
  }
}

/**
 * Measures what the pipeline itself costs: a batch of small requests from its upload to `completed`, audit rows and
 * ledger written, on an engine that answers at once; against a loop without a pipeline, plain BullMQ and a loop that
 * keeps its answers. They take turns in each round; the ratios are the medians over rounds.
 */
export async function run(args: readonly string[]): Promise<PipelineResult> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '20000' },
      rounds: { type: 'string', default: '3' },
      concurrency: { type: 'string', default: '64' },
      profile: { type: 'string' },
    },
  })
  const requests = Number(values.requests)
  const concurrency = Number(values.concurrency)
  const env = environment({ profileDir: values.profile })
  const engine = await startEngine(['--profile', 'instant'], env)
  const target = await startOnRedis({ engineUrl: engine.url, env })
  const load = startLoad()
  const queue: Helper<QueueTask, QueueResult> = startHelper('./queue-process.ts')
  const worker: Helper<QueueTask, QueueResult> = startHelper('./queue-process.ts')
  const keeping: Helper<KeepingTask, { tookMs: number }> = startHelper('./keeping-process.ts')
  const folder = await mkdtemp(join(tmpdir(), 'forebay-keeping-'))
  // A Postgres of its own, as it comes: what is kept there is no work for Forebay's scheduler and results.
  const dataDir = join(folder, 'postgres')
  const postgres = await startEmbeddedPostgres({ dataDir, logger: silentLogger, clock: systemClock })
  const workload = (seed: number): Workload => ({
    model: engine.model,
    requests,
    promptWords: 20,
    maxTokens: 16,
    seed,
  })
  const rounds: PipelineResult['rounds'] = []
  const cpuMicros: PipelineResult['cpuMicros'] = { pipeline: {}, direct: {}, bullmq: {}, keeping: {} }
  const counted = async <T>(what: keyof typeof cpuMicros, work: Promise<T>): Promise<T> => {
    const before = processCpu()
    const result = await work
    cpuMicros[what] = cpuPerRequest(before, processCpu(), requests)
    return result
  }
  try {
    await migrate({ url: postgres.url })
    await runBatch(target, { ...workload(1000), requests: 500 })
    await worker.run({ kind: 'work', redisUrl: target.redisUrl, engineUrl: engine.url, concurrency })
    for (let i = 1; i <= Number(values.rounds); i++) {
      const loop = { kind: 'closed', url: engine.url, concurrency, workload: workload(4 * i) } as const
      const direct = await counted('direct', load.run(loop))
      const piped = await counted('pipeline', runBatch(target, workload(4 * i + 1)))
      const plain = { kind: 'send', redisUrl: target.redisUrl, workload: workload(4 * i + 2) } as const
      const queued = await counted('bullmq', queue.run(plain))
      const keep = { url: engine.url, databaseUrl: postgres.url, file: join(folder, `${i}.jsonl`), concurrency }
      const kept = await counted('keeping', keeping.run({ ...keep, workload: workload(4 * i + 3) }))
      rounds.push({
        pipeline: Math.round((requests * 1000) / piped.endedMs),
        direct: Math.round((requests * 1000) / (direct.ended.at(-1)?.atMs ?? 0)),
        bullmq: Math.round((requests * 1000) / queued.tookMs),
        keeping: Math.round((requests * 1000) / kept.tookMs),
        directSenderCpu: round(direct.senderCpu),
        bullmqSenderCpu: round(queued.senderCpu),
      })
    }
  } finally {
    await Promise.all([load.stop(), queue.stop(), worker.stop(), keeping.stop()])
    await target.stop()
    await engine.stop()
    await postgres.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return {
    toDirect: round(median(rounds.map((each) => each.pipeline / each.direct))),
    toBullmq: round(median(rounds.map((each) => each.pipeline / each.bullmq))),
    toKeeping: round(median(rounds.map((each) => each.pipeline / each.keeping))),
    requestsPerSecond: Math.round(median(rounds.map((each) => each.pipeline))),
    rounds,
    cpuMicros,
  }
}
