import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { startSqsEmulator } from '@forebay/emulators'
import { eventually, redisUrl, startRedis, testDatabase } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { type PoolsHarness, startPools } from './pools-harness.ts'

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(...options: Parameters<typeof startPools>): Promise<PoolsHarness> {
  const harness = await startPools(...options)
  cleanUp.push(() => harness.stop())
  await harness.ready()
  return harness
}

async function ownRedis() {
  const redis = await startRedis()
  cleanUp.push(() => redis.stop())
  return redis
}

const nothingWrong = { lost: 0, doubled: 0, overcharged: 0, problems: [] }

const until = (harness: PoolsHarness, id: string, lines: number) =>
  eventually(
    async () => {
      const rows = await harness.db.query<{ done: number }>('SELECT completed AS done FROM batches WHERE id = $1', [id])
      return (rows[0]?.done ?? 0) >= lines
    },
    { what: `${lines} lines to be done`, timeoutMs: 30_000 },
  )

describe('several pools', () => {
  it('share one batch over three brokers, two with a store of their own, every line once', async () => {
    process.env['AWS_ACCESS_KEY_ID'] = 'test'
    process.env['AWS_SECRET_ACCESS_KEY'] = 'test'
    const sqs = await startSqsEmulator()
    cleanUp.push(() => sqs.stop())
    const postgres = await testDatabase({ migrated: false })
    cleanUp.push(() => postgres.drop())
    const harness = await start([
      { name: 'on-redis', queueUrl: `${redisUrl()}/5`, ownStore: true, fixedMs: 40 },
      { name: 'on-postgres', queueUrl: postgres.url, fixedMs: 40 },
      { name: 'on-sqs', queueUrl: sqs.url, ownStore: true, fixedMs: 40 },
    ])
    const id = await harness.submit(600)
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 600, completed: 600 })
    const lines = await harness.linesByPool(id)
    expect(Object.keys(lines)).toEqual(['on-postgres', 'on-redis', 'on-sqs'])
    for (const count of Object.values(lines)) expect(count).toBeGreaterThan(60)
    // The parts lie where they were written; the staged copies go once their chunks are done.
    for (const pool of ['on-redis', 'on-sqs']) {
      const root = harness.storeUrls.get(pool) ?? ''
      expect(filesBelow(root).some((path) => path.includes('/parts/'))).toBe(true)
      await eventually(() => !filesBelow(root).some((path) => path.includes('/staged/')), {
        what: 'the staged copies to go',
        timeoutMs: 15_000,
      })
    }
  })

  it('are listed with their queues and workers; one that is down is told and stops no other', async () => {
    const redis = await ownRedis()
    const harness = await start([
      { name: 'a', queueUrl: redis.url },
      { name: 'b', queueUrl: `${redisUrl()}/6` },
    ])
    expect(await harness.pools()).toMatchObject([
      { name: 'a', state: 'up', workers: 1, models: ['forebay-sim'], depth: { batch: { waiting: 0, in_flight: 0 } } },
      { name: 'b', state: 'up', workers: 1 },
    ])
    await redis.kill()
    await eventually(async () => (await harness.pools())[0]?.state === 'unreachable', { what: 'a to be unreachable' })
    expect(await harness.pools()).toMatchObject([{ depth: null, reason: expect.any(String) }, { state: 'up' }])
    const id = await harness.submit(40)
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 40 })
  })
})

describe('a drained pool', () => {
  it('gets nothing new, and what waits there goes to the others', async () => {
    const harness = await start([
      { name: 'a', queueUrl: `${redisUrl()}/7`, ownStore: true, fixedMs: 200 },
      { name: 'b', queueUrl: `${redisUrl()}/8`, fixedMs: 50 },
    ])
    const id = await harness.submit(400)
    await until(harness, id, 20)
    expect((await harness.drain('a')).state).toBe('drained')
    const queued = async () => (await harness.pools()).find(({ name }) => name === 'a')?.depth?.['batch']
    await eventually(async () => (await queued())?.waiting === 0, { what: 'the queue of a to be empty' })
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 400 })
    const late = await harness.db.query(
      `SELECT 1 FROM chunks c, pools p WHERE c.pool = 'a' AND p.name = 'a' AND c.released_at > p.drained_at + interval '1 second'`,
    )
    expect(late).toEqual([])
    const { a, b } = await harness.linesByPool(id)
    expect([a !== undefined && a > 0, b !== undefined && b > 100]).toEqual([true, true])
  })

  it('is waited for by a batch that must not leave its residency, which says so', async () => {
    const harness = await start([
      { name: 'eu-a', queueUrl: `${redisUrl()}/9`, residency: ['eu'] },
      { name: 'us-a', queueUrl: `${redisUrl()}/10`, residency: ['us'] },
    ])
    await harness.drain('eu-a')
    const id = await harness.submit(24, { forebay: { residency: 'eu' } })
    const forebay = await eventually(
      async () => {
        const batch = await harness.openai.batches.retrieve(id)
        const own = (batch as unknown as { forebay: { waiting_for: string | null } }).forebay
        return own.waiting_for === null ? undefined : own
      },
      { what: 'the batch to say what it waits for' },
    )
    expect(forebay).toMatchObject({
      residency: 'eu',
      waiting_for: "A pool with the residency tag 'eu' that serves the model 'forebay-sim': eu-a is drained.",
    })
    const free = await harness.submit(24)
    expect(await harness.expectComplete(free)).toMatchObject(nothingWrong)
    expect(await harness.linesByPool(free)).toEqual({ 'us-a': 24 })
    expect(await harness.linesByPool(id)).toEqual({})
    await harness.undrain('eu-a')
    expect(await harness.expectComplete(id)).toMatchObject(nothingWrong)
    expect(await harness.linesByPool(id)).toEqual({ 'eu-a': 24 })
    await expect(harness.submit(1, { metadata: { residency: 'mars' } })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('The pools carry: eu, us.'),
    })
  })
})

describe('a pool cut off in the middle of a batch', () => {
  it('by the death of its broker: the batch completes elsewhere, every line once; live requests go on', async () => {
    const redis = await ownRedis()
    const harness = await start([
      { name: 'a', queueUrl: redis.url, ownStore: true, fixedMs: 100 },
      { name: 'b', queueUrl: `${redisUrl()}/11`, fixedMs: 50 },
    ])
    const id = await harness.submit(400)
    await until(harness, id, 40)
    await redis.kill()
    const messages = [{ role: 'user' as const, content: 'hi' }]
    for (let i = 0; i < 3; i++) {
      const answer = await harness.openai.chat.completions.create({ model: 'forebay-sim', max_tokens: 4, messages })
      expect(answer.choices).toHaveLength(1)
    }
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 400, completed: 400 })
    const { a, b } = await harness.linesByPool(id)
    expect([a !== undefined && a > 0, b !== undefined && b > 200]).toEqual([true, true])
  })

  it('by the death of its engine: the batch completes elsewhere, every line once', async () => {
    const harness = await start([
      { name: 'a', queueUrl: `${redisUrl()}/12`, fixedMs: 100 },
      { name: 'b', queueUrl: `${redisUrl()}/13`, ownStore: true, fixedMs: 50 },
    ])
    const id = await harness.submit(400)
    await until(harness, id, 40)
    harness.engines.get('a')?.crash()
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 400, completed: 400 })
  })
})

function filesBelow(root: string): string[] {
  return readdirSync(root).flatMap((name) => {
    const path = join(root, name)
    return statSync(path).isDirectory() ? filesBelow(path) : [path]
  })
}
