import { silentLogger, systemClock } from '@forebay/kernel'
import { eventually, freePort, startRedis, tempDir } from '@forebay/test-support'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeRedisStreamsProvider } from './provider.ts'

const body = new TextEncoder().encode('{}')
const leaseMs = 1_000
const open = (url: string) => makeRedisStreamsProvider({ url, clock: systemClock, logger: silentLogger, leaseMs })

describe('redis streams', () => {
  it('survive a restart of Redis: sends fail as unavailable meanwhile, what was sent or held is delivered', async () => {
    const place = { port: await freePort(), dir: tempDir(), appendonly: true }
    const before = await startRedis(place)
    const provider = await open(before.url)
    onTestFinished(() => provider.close())
    const queue = provider.queue('restart')
    await queue.send([
      { id: 'kept', body },
      { id: 'later', body, delayMs: 300 },
    ])
    const [kept] = await queue.receive({ max: 1, waitMs: 5_000, leaseMs })
    expect(kept?.id).toBe('kept')
    const waiting = queue.receive({ max: 1, waitMs: 30_000, leaseMs }).catch(() => [])
    await before.kill()
    await waiting
    const [failed] = await queue.send([{ id: 'lost', body }])
    expect(failed?.ok ? 'ok' : failed?.error.code).toBe('unavailable')
    const after = await startRedis(place)
    onTestFinished(() => after.stop())
    await eventually(async () => (await queue.send([{ id: 'after', body }]))[0]?.ok, { what: 'Redis to take messages' })
    const seen = new Map<string, number>()
    await eventually(
      async () => {
        const leases = await queue.receive({ max: 5, waitMs: 200, leaseMs }).catch(() => [])
        for (const { attempt, id } of leases) seen.set(id, attempt)
        await queue.ack(leases)
        return seen.size === 3
      },
      { what: 'the message held over the restart, the delayed one, and the one sent after it' },
    )
    expect(Object.fromEntries(seen)).toEqual({ kept: 2, later: 1, after: 1 })
  }, 40_000)

  it('go on by themselves when Redis forgot everything', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const provider = await open(server.url)
    onTestFinished(() => provider.close())
    const queue = provider.queue('forgotten')
    const waiting = queue.receive({ max: 1, waitMs: 10_000, leaseMs }).catch(() => [])
    const redis = new Redis(server.url)
    await redis.flushall()
    redis.disconnect()
    await queue.send([{ id: 'one', body }])
    const seen = (await waiting).map(({ id }) => id)
    await eventually(
      async () => {
        for (const { id } of await queue.receive({ max: 1, waitMs: 200, leaseMs })) seen.push(id)
        return seen.length === 1
      },
      { what: 'the message sent after the loss' },
    )
    expect(await queue.depth()).toMatchObject({ visible: 0, inFlight: 1 })
  })

  it('leave nothing behind for done messages, and the reason with dead ones', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const provider = await open(`${server.url}/5`)
    const queue = provider.queue('memory')
    await queue.send(Array.from({ length: 300 }, (_, i) => ({ id: `m-${i}`, body })))
    for (let done = 0; done < 300; ) {
      const leases = await queue.receive({ max: 64, waitMs: 5_000, leaseMs })
      const [dead, ...rest] = leases
      if (dead && done === 0) await queue.deadLetter(dead, { code: 'broken', detail: 'no model' })
      await queue.ack(done === 0 ? rest : leases)
      done += leases.length
    }
    await provider.close()
    const redis = new Redis(`${server.url}/5`)
    onTestFinished(() => redis.disconnect())
    expect((await redis.keys('*')).sort()).toEqual(['forebay:stream:{memory}', 'forebay:stream:{memory}:dead'])
    expect(await redis.xlen('forebay:stream:{memory}')).toBe(0)
    const [[, fields] = []] = await redis.xrange('forebay:stream:{memory}:dead', '-', '+')
    expect(fields?.slice(-2)).toEqual(['r', 'broken: no model'])
  })
})
