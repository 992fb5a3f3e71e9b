import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { startFaultyLink } from '@forebay/blobs/conformance'
import { startServicebusEmulator, startSqsEmulator } from '@forebay/emulators'
import { eventually, freePort, redisUrl, startRedis, tempDir, testDatabase } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { type PoolsHarness, startPools } from './pools-harness.ts'

process.env['AWS_ACCESS_KEY_ID'] = 'test'
process.env['AWS_SECRET_ACCESS_KEY'] = 'test'

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

/** Waits until a pool has done so many lines of a batch, and no longer: the rest of it is still on its way there. */
const untilDone = (harness: PoolsHarness, id: string, pool: string, lines: number) =>
  eventually(async () => ((await harness.linesByPool(id))[pool] ?? 0) >= lines, {
    what: `${lines} lines to be done by ${pool}`,
    timeoutMs: 30_000,
  })

describe('several pools', () => {
  it('share one batch over three brokers, two with a store of their own, every line once', async () => {
    const sqs = await startSqsEmulator()
    cleanUp.push(() => sqs.stop())
    const postgres = await testDatabase({ migrated: false })
    cleanUp.push(() => postgres.drop())
    const harness = await start([
      { name: 'on-redis', queueUrl: `${redisUrl()}/5`, ownStore: true, fixedMs: 100 },
      { name: 'on-postgres', queueUrl: postgres.url, fixedMs: 100 },
      { name: 'on-sqs', queueUrl: sqs.url, ownStore: true, fixedMs: 100 },
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

describe('a live request larger than its broker takes', () => {
  it('is answered over SQS and over Service Bus, and its body does not stay in the pool’s store', async () => {
    const [sqs, servicebus] = await Promise.all([startSqsEmulator(), startServicebusEmulator()])
    cleanUp.push(() => Promise.all([sqs.stop(), servicebus.stop()]))
    const engine = { maxModelLen: 2_000_000, numGpuBlocks: 130_000 }
    const harness = await start([
      { name: 'aws', queueUrl: sqs.url, ownStore: true, residency: ['us'], engine },
      { name: 'azure', queueUrl: servicebus.url, ownStore: true, residency: ['eu'], engine },
    ])
    const content = 'a river '.repeat(250_000)
    for (const [pool, tag] of [
      ['aws', 'us'],
      ['azure', 'eu'],
    ] as const) {
      const answer = await harness.openai.chat.completions.create(
        { model: 'forebay-sim', max_tokens: 4, messages: [{ role: 'user', content }] },
        { headers: { 'x-forebay-residency': tag } },
      )
      expect(answer.usage?.prompt_tokens).toBeGreaterThan(100_000)
      const [ran] = await eventually(
        async () => {
          const rows = await harness.db.query<{ pool: string }>('SELECT pool FROM requests WHERE pool = $1', [pool])
          return rows.length > 0 ? rows : undefined
        },
        { what: `the request to be recorded of ${pool}` },
      )
      expect(ran).toEqual({ pool })
      const root = harness.storeUrls.get(pool) ?? ''
      await eventually(() => !filesBelow(root).some((path) => path.includes('/queue/')), { what: 'the body to go' })
    }
  })
})

describe('a drained pool', () => {
  it('gets nothing new, and what waits there goes to the others', async () => {
    const harness = await start([
      { name: 'a', queueUrl: `${redisUrl()}/7`, ownStore: true, fixedMs: 200 },
      { name: 'b', queueUrl: `${redisUrl()}/8`, fixedMs: 50 },
    ])
    const id = await harness.submit(400)
    await untilDone(harness, id, 'a', 8)
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
    await untilDone(harness, id, 'a', 16)
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

  it('by the death of its broker: what may go nowhere else waits, says so, and ends once the broker is back', async () => {
    const place = { port: await freePort(), dir: tempDir(), appendonly: true }
    const redis = await startRedis(place)
    const harness = await start([
      { name: 'eu-a', queueUrl: redis.url, residency: ['eu'], fixedMs: 100 },
      { name: 'us-a', queueUrl: `${redisUrl()}/12`, residency: ['us'] },
    ])
    const id = await harness.submit(200, { forebay: { residency: 'eu' } })
    await untilDone(harness, id, 'eu-a', 20)
    await redis.kill()
    const waitingFor = await eventually(
      async () => {
        const batch = await harness.openai.batches.retrieve(id)
        return (batch as unknown as { forebay: { waiting_for: string | null } }).forebay.waiting_for ?? undefined
      },
      { what: 'the batch to say what it waits for', timeoutMs: 30_000 },
    )
    expect(waitingFor).toContain("A pool with the residency tag 'eu' that serves the model 'forebay-sim': eu-a")
    const back = await startRedis(place)
    cleanUp.push(() => back.stop())
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 200, completed: 200 })
    expect(await harness.linesByPool(id)).toEqual({ 'eu-a': 200 })
  })

  it('by the loss of its store: the rest goes elsewhere, the batch says that it waits for the results there, and ends when they are back', async () => {
    const sqs = await startSqsEmulator()
    cleanUp.push(() => sqs.stop())
    const port = Number(new URL(sqs.endpoint).port)
    await fetch(`${sqs.endpoint}/results`, { method: 'PUT' })
    const link = await startFaultyLink({ port })
    cleanUp.push(() => link.close())
    const store = `s3://results/a?region=eu-west-1&endpoint=http://127.0.0.1:${link.port}`
    const harness = await start([
      { name: 'a', queueUrl: `${redisUrl()}/14`, ownStore: store, fixedMs: 100 },
      { name: 'b', queueUrl: `${redisUrl()}/15`, fixedMs: 50 },
    ])
    const id = await harness.submit(400)
    await untilDone(harness, id, 'a', 24)
    link.cutAfter('to store', 0)
    const waiting = await eventually(
      async () => {
        const batch = await harness.openai.batches.retrieve(id)
        const own = (batch as unknown as { forebay: { waiting_for: string | null } }).forebay
        return batch.status === 'finalizing' && own.waiting_for !== null ? own.waiting_for : undefined
      },
      { what: 'the batch to say what it waits for', timeoutMs: 60_000 },
    )
    expect(waiting).toBe('The blob store of the pool a, where results of it lie: it does not answer.')
    link.heal()
    expect(await harness.expectComplete(id)).toMatchObject({ ...nothingWrong, lines: 400, completed: 400 })
    const batch = await harness.openai.batches.retrieve(id)
    expect((batch as unknown as { forebay: { waiting_for: string | null } }).forebay.waiting_for).toBeNull()
  })

  it('by the death of its engine: the batch completes elsewhere, every line once', async () => {
    const harness = await start([
      { name: 'a', queueUrl: `${redisUrl()}/12`, fixedMs: 100 },
      { name: 'b', queueUrl: `${redisUrl()}/13`, ownStore: true, fixedMs: 50 },
    ])
    const id = await harness.submit(400)
    await untilDone(harness, id, 'a', 16)
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
