import { performance } from 'node:perf_hooks'
import { median, round } from './load.ts'
import { openBareBullmq } from './queues/bare-bullmq.ts'
import { openBarePubsub } from './queues/bare-pubsub.ts'
import { openBareRedisStreams } from './queues/bare-redis-streams.ts'
import { openBareServicebus } from './queues/bare-servicebus.ts'
import { openBareSqs } from './queues/bare-sqs.ts'
import type { ClientResult, ClientTask } from './queues/client-task.ts'
import { type Contender, chunkJobs, type Listener } from './queues/contender.ts'
import { openThroughCore } from './queues/through-core.ts'

const openBare = {
  redis: openBareBullmq,
  'redis-streams': openBareRedisStreams,
  postgres: openBareBullmq,
  sqs: openBareSqs,
  pubsub: openBarePubsub,
  servicebus: openBareServicebus,
}
const sliceSize = 2_000

process.on('message', (task: ClientTask) => {
  measure(task).then(
    (result) => process.send?.(result),
    (err: unknown) => {
      console.error(err)
      process.exit(1)
    },
  )
})

// Ends in good order, so that a profile of it is written.
process.on('SIGTERM', () => process.exit(0))

async function measure(task: ClientTask): Promise<ClientResult> {
  const { driver, name, url, way } = task
  const lanes = driver === 'redis' ? 'background' : driver === 'redis-streams' ? 'waiting' : 'all'
  const contender = way === 'core' ? await openThroughCore({ url, name, lanes }) : await openBare[driver]({ url, name })
  const seen = new Watch()
  contender.start(seen)
  try {
    // Connections and code are warm before anything counts.
    await through(contender, seen, { from: 0, jobs: Math.ceil(task.jobs / 5) })
    const cpu = process.cpuUsage()
    const startMs = performance.now()
    await through(contender, seen, { from: task.jobs, jobs: task.jobs })
    const tookMs = performance.now() - startMs
    const used = process.cpuUsage(cpu)
    const latencies: number[] = []
    for (let i = 0; i < task.idle; i++) latencies.push(await once(contender, seen, 3 * task.jobs + i))
    return {
      jobsPerSecond: Math.round((task.jobs * 1_000) / tookMs),
      idleP50Ms: round(median(latencies)),
      cpuMicros: Math.round((used.user + used.system) / task.jobs),
    }
  } finally {
    await contender.stop()
  }
}

/** Sends jobs while they are received, until every one is acknowledged. */
async function through(contender: Contender, seen: Watch, work: { from: number; jobs: number }): Promise<void> {
  const all = seen.whenAcknowledged(work.jobs)
  const send = async () => {
    for (let sent = 0; sent < work.jobs; sent += sliceSize) {
      await contender.send(chunkJobs(work.from + sent, Math.min(sliceSize, work.jobs - sent)))
    }
  }
  await Promise.all([send(), all])
}

/** Sends one job to a consumer that waits; answers after how many milliseconds it arrived. */
async function once(contender: Contender, seen: Watch, number: number): Promise<number> {
  const acknowledged = seen.whenAcknowledged(1)
  // Lets the consumer's next wait begin.
  await new Promise((resolve) => setTimeout(resolve, 30))
  const arrived = seen.nextArrival()
  const sentAt = performance.now()
  const [arrivedAt] = await Promise.all([arrived, contender.send(chunkJobs(number, 1)), acknowledged])
  return arrivedAt - sentAt
}

/** Counts what a contender tells of. */
class Watch implements Listener {
  #acknowledged = 0
  #waiting: { until: number; resolve: () => void; reject: (err: unknown) => void } | undefined
  #onArrival: ((atMs: number) => void) | undefined

  whenAcknowledged(jobs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { until: this.#acknowledged + jobs, resolve, reject }
    })
  }

  nextArrival(): Promise<number> {
    return new Promise((resolve) => {
      this.#onArrival = resolve
    })
  }

  arrived(): void {
    this.#onArrival?.(performance.now())
    this.#onArrival = undefined
  }

  acknowledged(jobs: number): void {
    this.#acknowledged += jobs
    if (this.#waiting && this.#acknowledged >= this.#waiting.until) this.#waiting.resolve()
  }

  failed(err: unknown): void {
    this.#waiting?.reject(err)
  }
}
