import { Redis } from 'ioredis'
import { Pool } from 'undici'
import { relayChannel, relayStream } from './relay-names.ts'

export interface RelayWorkerTask {
  redisUrl: string
  engineUrl: string
}

export type RelayWorkerUp = Record<string, never>

const group = 'workers'

// Started by relay.ts. Reads the stream, calls the engine, publishes the answer and acknowledges, for ever.
process.on('message', (task: RelayWorkerTask) => {
  void start(task).then((up) => process.send?.(up))
})

async function start({ engineUrl, redisUrl }: RelayWorkerTask): Promise<RelayWorkerUp> {
  const reading = new Redis(redisUrl)
  const writing = new Redis(redisUrl)
  const pool = new Pool(engineUrl, { connections: 512, pipelining: 1 })
  await reading.xgroup('CREATE', relayStream, group, '$', 'MKSTREAM')

  const answer = async (entryId: string, job: string) => {
    const idEnd = job.indexOf(' ')
    const { body, statusCode } = await pool.request({
      path: '/v1/chat/completions',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: job.slice(idEnd + 1),
    })
    const text = await body.text()
    void writing.publish(relayChannel, `${job.slice(0, idEnd)} ${statusCode} ${text}`)
    void writing.multi().xack(relayStream, group, entryId).xdel(relayStream, entryId).exec()
  }
  const loop = async () => {
    for (;;) {
      const read = await reading.xreadgroup(
        ...(['GROUP', group, 'worker', 'COUNT', 100, 'BLOCK', 1000] as const),
        ...(['STREAMS', relayStream, '>'] as const),
      )
      const [[, entries] = ['', []]] = (read ?? []) as [key: string, entries: [id: string, fields: string[]][]][]
      for (const [entryId, [, job = '']] of entries) void answer(entryId, job)
    }
  }
  void loop()
  return {}
}
