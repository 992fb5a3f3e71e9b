import { Redis } from 'ioredis'
import { type Contender, type ContenderOptions, decode, encode, inLoops, inSlices, type Listener } from './contender.ts'

const group = 'bench'
const receivers = 2
const countMax = 512

/** Streams as Redis' manual has them: pipelined XADD, a consumer group read in batches, and XACK with XDEL of each. */
export async function openBareRedisStreams(options: ContenderOptions): Promise<Contender> {
  const { name, url } = options
  const redis = new Redis(url)
  await redis.xgroup('CREATE', name, group, '0', 'MKSTREAM')
  const stop = new AbortController()
  const readers: Redis[] = []
  let loops: Promise<unknown> = Promise.resolve()

  const receive = async (reader: Redis, on: Listener) => {
    const what = ['GROUP', group, group, 'COUNT', countMax, 'BLOCK', 1_000, 'STREAMS', name, '>']
    const answer = (await reader.callBuffer('XREADGROUP', what)) as [Buffer, [Buffer, Buffer[]][]] | null
    const entries = answer?.[1] ?? []
    if (entries.length === 0) return
    for (const [, [, body]] of entries) on.arrived(decode(body ?? Buffer.alloc(0)))
    const ids = entries.map(([id]) => id.toString())
    await redis
      .pipeline()
      .xack(name, group, ...ids)
      .xdel(name, ...ids)
      .exec()
    on.acknowledged(ids.length)
  }
  return {
    send: (jobs) =>
      inSlices(jobs, { size: 500, width: 2 }, async (slice) => {
        const pipeline = redis.pipeline()
        for (const { job } of slice) pipeline.xadd(name, '*', 'b', encode(job))
        for (const [err] of (await pipeline.exec()) ?? []) if (err) throw err
      }),
    start(on) {
      for (let i = 0; i < receivers; i++) readers.push(redis.duplicate())
      loops = Promise.all(
        readers.map((reader) => inLoops({ loops: 1, stop: stop.signal, on, step: () => receive(reader, on) })),
      )
    },
    async stop() {
      stop.abort()
      for (const reader of readers) reader.disconnect()
      await loops
      redis.disconnect()
    },
  }
}
