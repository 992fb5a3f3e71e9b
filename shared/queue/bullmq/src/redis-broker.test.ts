import { makeLogger, silentLogger, systemClock } from '@forebay/kernel'
import { eventually, freePort, startRedis, tempDir } from '@forebay/test-support'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeBullmqProvider } from './provider.ts'

const body = new TextEncoder().encode('{}')
const open = (url: string, logger = silentLogger) =>
  makeBullmqProvider({ url, clock: systemClock, logger, leaseMs: 1_000 })

describe('bullmq on Redis', () => {
  it('survives a restart of Redis: sends fail as unavailable meanwhile, a waiting consumer resumes', async () => {
    const place = { port: await freePort(), dir: tempDir(), appendonly: true }
    const before = await startRedis(place)
    const provider = await open(before.url)
    onTestFinished(() => provider.close())
    const queue = provider.queue('restart')
    await queue.send([{ id: 'kept', body, delayMs: 1 }])
    const [kept] = await queue.receive({ max: 1, waitMs: 5_000, leaseMs: 1_000 })
    const waiting = queue.receive({ max: 1, waitMs: 30_000, leaseMs: 1_000 }).catch(() => [])
    await before.kill()
    const [failed] = await queue.send([{ id: 'lost', body }])
    expect(failed?.ok ? 'ok' : failed?.error.code).toBe('unavailable')
    const after = await startRedis(place)
    onTestFinished(() => after.stop())
    await eventually(async () => (await queue.send([{ id: 'after', body }]))[0]?.ok, { what: 'Redis to take messages' })
    const seen = new Set((await waiting).map((lease) => lease.id))
    await eventually(
      async () => {
        for (const lease of await queue.receive({ max: 5, waitMs: 200, leaseMs: 1_000 })) seen.add(lease.id)
        return seen.has('kept') && seen.has('after')
      },
      { what: 'the message held over the restart, and the one sent after it' },
    )
    expect(kept?.id).toBe('kept')
  }, 40_000)

  it('leaves nothing behind for done messages, and the reason with dead ones', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const provider = await open(`${server.url}/5`)
    const queue = provider.queue('memory')
    await queue.send(Array.from({ length: 300 }, (_, i) => ({ id: `m-${i}`, body })))
    for (let done = 0; done < 300; ) {
      const leases = await queue.receive({ max: 64, waitMs: 5_000, leaseMs: 1_000 })
      const [dead, ...rest] = leases
      if (dead && done === 0) await queue.deadLetter(dead, { code: 'broken', detail: 'no model' })
      await queue.ack(done === 0 ? rest : leases)
      done += leases.length
    }
    await provider.close()
    const redis = new Redis(`${server.url}/5`)
    const keys = await redis.keys('*')
    // One dead job and the queue's own few keys.
    expect(keys.length).toBeLessThan(10)
    const direct = new Queue('memory', { connection: redis, prefix: 'forebay' })
    const [job] = await direct.getFailed()
    expect(job?.failedReason).toBe('broken: no model')
    await direct.close()
    redis.disconnect()
  })

  it('warns of an eviction policy that could drop jobs', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const redis = new Redis(server.url)
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
    redis.disconnect()
    const lines: string[] = []
    const logger = makeLogger({ process: 'test', level: 'warn', stream: { write: (line) => lines.push(line) } })
    const provider = await open(server.url, logger)
    await provider.close()
    expect(lines.join('')).toContain('noeviction')
  })
})
