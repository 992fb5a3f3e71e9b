import {
  type BackendFactory,
  createPostgresBackend,
  createRedisBackend,
  type IQueueBackend,
  Queue,
  Worker,
} from 'bullmq'
import { type Contender, type ContenderOptions, decode, inSlices, type Listener, leaseSeconds } from './contender.ts'

/** Jobs under way at once; more made no difference. */
const concurrency = 64
const lockDuration = leaseSeconds * 1_000

interface Data {
  body: string
}

/** BullMQ as its manual has it: `addBulk`, and a Worker, which claims the next job as it completes one. */
export async function openBareBullmq(options: ContenderOptions): Promise<Contender> {
  const { name, url } = options
  return url.startsWith('redis') ? onRedis(name, url) : onPostgres(name, url)
}

function onRedis(name: string, url: string): Promise<Contender> {
  const { hostname, port } = new URL(url)
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null }
  return open({ name, connection, backend: createRedisBackend })
}

/** The schema and the durability of commits are those of Forebay's driver: the same work. */
function onPostgres(name: string, url: string): Promise<Contender> {
  const connection = {
    connectionString: url,
    schema: 'forebay_queue',
    max: 4,
    migrate: true,
    options: '-c synchronous_commit=off',
  }
  return open({ name, connection, backend: createPostgresBackend })
}

async function open<C>(options: {
  name: string
  connection: NoInfer<C>
  backend: BackendFactory<IQueueBackend, C>
}): Promise<Contender> {
  const { backend, connection, name } = options
  const queue = new Queue<Data, void, 'job', Data, void, 'job', IQueueBackend, C>(name, { connection }, backend)
  await queue.waitUntilReady()
  let stopWorking = async () => {}
  return {
    send: (jobs) =>
      inSlices(jobs, { size: 500, width: 1 }, async (slice) => {
        await queue.addBulk(slice.map(({ job }) => ({ name: 'job', data: { body: JSON.stringify(job) } })))
      }),
    start(on) {
      const work = async (job: { data: Data }) => on.arrived(decode(job.data.body))
      const settings = { connection, concurrency, lockDuration, removeOnComplete: { count: 0 } }
      const worker = new Worker<Data, void, 'job', IQueueBackend, number, C>(name, work, settings, backend)
      watch(worker, on)
      stopWorking = () => worker.close()
    },
    async stop() {
      await stopWorking()
      await queue.close()
    },
  }
}

function watch(
  worker: { on(event: 'completed' | 'failed' | 'error', listener: (...args: never[]) => void): unknown },
  on: Listener,
): void {
  worker.on('completed', () => on.acknowledged(1))
  worker.on('failed', (_job: never, err: never) => on.failed(err))
  worker.on('error', (err: never) => on.failed(err))
}
