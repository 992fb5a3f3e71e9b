import { performance } from 'node:perf_hooks'
import { Queue, Worker } from 'bullmq'
import { Pool } from 'undici'
import { bodiesOf, type Workload } from './workload.ts'

/** What a process of the plain BullMQ side does: work for ever, or send a workload and wait for its end. */
export type QueueTask =
  | { kind: 'work'; redisUrl: string; engineUrl: string; concurrency: number }
  | { kind: 'send'; redisUrl: string; workload: Workload }

export interface QueueResult {
  /** From the first job sent to the last one done. */
  tookMs: number
  /** Share of one core that the sender used. */
  senderCpu: number
}

// BullMQ as its manual has it: one job per request, the processor calls the engine and keeps nothing, done jobs are
// removed at once, so that Redis has the least to do.
const name = 'plain'

process.on('message', (task: QueueTask) => {
  void (task.kind === 'work' ? work(task) : send(task)).then((result) => process.send?.(result))
})

async function work(task: QueueTask & { kind: 'work' }): Promise<QueueResult> {
  const { concurrency } = task
  const pool = new Pool(task.engineUrl, { connections: concurrency, pipelining: 1 })
  const worker = new Worker<{ body: string }>(
    name,
    async (job) => {
      const { body, statusCode } = await pool.request({
        path: '/v1/chat/completions',
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: job.data.body,
      })
      await body.text()
      if (statusCode !== 200) throw new Error(`status ${statusCode}`)
    },
    { connection: connectionOf(task.redisUrl), concurrency, removeOnComplete: { count: 0 } },
  )
  await worker.waitUntilReady()
  return { tookMs: 0, senderCpu: 0 }
}

async function send(task: QueueTask & { kind: 'send' }): Promise<QueueResult> {
  const connection = connectionOf(task.redisUrl)
  const queue = new Queue(name, { connection })
  const jobs = [...bodiesOf(task.workload)].map((body) => ({ name: 'request', data: { body } }))
  await queue.waitUntilReady()
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  for (let from = 0; from < jobs.length; from += 1000) await queue.addBulk(jobs.slice(from, from + 1000))
  // A look every few milliseconds costs less than an event per job would.
  while ((await queue.getJobCountByTypes('wait', 'active')) > 0) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const tookMs = performance.now() - startMs
  const used = process.cpuUsage(cpu)
  if ((await queue.getFailedCount()) > 0) throw new Error('jobs of plain BullMQ failed')
  await queue.close()
  return { tookMs, senderCpu: (used.user + used.system) / 1000 / tookMs }
}

function connectionOf(url: string): { host: string; port: number; maxRetriesPerRequest: null } {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null }
}
