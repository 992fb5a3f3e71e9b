import { blobKeys, type Control } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'
import { decodePlanEntries } from '@forebay/plan'
import { eventually } from '@forebay/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Held, line, makeTestKit, readLines, type TestKit } from './testing/test-kit.ts'

let kit: TestKit
beforeEach(async () => {
  kit = await makeTestKit({ chunkLeaseMs: 700, cancelGraceMs: 600 })
})
afterEach(() => kit.stop())

/** For tests in which nothing is lost: on a busy machine the short lease would be. */
const patient = { chunkLeaseMs: 60_000 }

const lines = (count: number) => Array.from({ length: count }, (_, i) => line(`id-${i + 1}`, `question ${i}`))

async function untilStatus(id: string, status: string) {
  return eventually(
    async () => {
      const batch = await kit.batch(id)
      return batch.status === status ? batch : undefined
    },
    { what: `batch ${id} to be ${status}`, timeoutMs: 15_000 },
  )
}

/** Works off chunks until the batch ends. */
async function workUntil(id: string, status: string) {
  const jobs: Held[] = []
  const batch = await eventually(
    async () => {
      for (const held of await kit.receiver.receive({ max: 8, waitMs: 20 })) {
        jobs.push(held)
        await kit.note(held.job, 'held')
        await kit.record(held.job)
        await kit.receiver.settle(held, { kind: 'done' })
      }
      const now = await kit.batch(id)
      return now.status === status ? now : undefined
    },
    { what: `batch ${id} to be ${status}`, timeoutMs: 15_000 },
  )
  return { batch, jobs }
}

async function takeOne(): Promise<Held> {
  const [held] = await kit.take()
  if (!held) throw new Error('no chunk came')
  return held
}

const eventsOf = (id: string) =>
  kit.db.query<{ type: string }>(`SELECT type FROM events WHERE data ->> 'id' = $1`, [id])

describe('a batch', () => {
  test('is planned, released, closed and finalised: every line once, in line order, in one of two files', async () => {
    await kit.start(patient)
    const id = await kit.submit(lines(30))
    const { batch, jobs } = await workUntil(id, 'completed')
    expect(batch).toMatchObject({ total: 30, completed: 26, failed: 4, model: 'm', pool: 'default' })
    expect(jobs.map(({ id: jobId }) => jobId)).toEqual(Array.from({ length: 8 }, (_, i) => `${id}.${i}.1`))
    const output = await readLines(kit, batch['output_file_id'])
    const error = await readLines(kit, batch['error_file_id'])
    const numbers = Array.from({ length: 30 }, (_, i) => i + 1)
    expect(output?.map((each) => each.custom_id)).toEqual(numbers.filter((n) => n % 7 !== 0).map((n) => `id-${n}`))
    expect(error?.map((each) => each.custom_id)).toEqual(numbers.filter((n) => n % 7 === 0).map((n) => `id-${n}`))
    expect(await eventsOf(id)).toEqual([{ type: 'batch.completed' }])
    const files = await kit.db.query(
      `SELECT filename, purpose, expires_at > now() + interval '29 days' AS kept FROM files WHERE purpose = 'batch_output' ORDER BY 1`,
    )
    expect(files).toEqual([
      { filename: `${id}_error.jsonl`, purpose: 'batch_output', kept: true },
      { filename: `${id}_output.jsonl`, purpose: 'batch_output', kept: true },
    ])
  })

  test('that is faulty fails with every fault, and nothing of it runs', async () => {
    await kit.start()
    const id = await kit.submit([line('a'), line('a'), '{'])
    const batch = await untilStatus(id, 'failed')
    expect(batch.errors?.map(({ code, line: number }) => [code, number])).toEqual([
      ['duplicate_custom_id', 2],
      ['invalid_json_line', 3],
    ])
    expect(batch).toMatchObject({ total: 0, completed: 0, failed: 0 })
    expect(await eventsOf(id)).toEqual([{ type: 'batch.failed' }])
    expect(await kit.queues.queue('default.batch').depth()).toMatchObject({ visible: 0, inFlight: 0 })
  })

  test('whose input file is gone fails and names it', async () => {
    const id = await kit.submit(lines(1))
    await kit.db.query('UPDATE files SET deleted_at = now()')
    await kit.start()
    const batch = await untilStatus(id, 'failed')
    expect(batch.errors).toEqual([expect.objectContaining({ code: 'invalid_request', param: 'file_id' })])
  })

  test('waits while no worker was ever heard of, and goes on when one announces its model', async () => {
    await kit.db.query('DELETE FROM models')
    await kit.start()
    const id = await kit.submit([line('a')])
    const engine = { engine: 'test', engineUrl: '', healthy: true, draining: false, inFlightMax: 1, tokensPerSecond: 0 }
    const inFlight = { realtime: 0, standard: 0, batch: 0 }
    const models = [{ id: 'm', contextTokens: 4096 }]
    await kit.bus.announce({ ...engine, workerId: 'w', pool: 'default', models, inFlight, atMs: 0 })
    await workUntil(id, 'completed')
    expect(await kit.db.query('SELECT pool, model, context_tokens FROM models')).toEqual([
      { pool: 'default', model: 'm', context_tokens: 4096 },
    ])
  })
})

describe('a cancelled batch', () => {
  test('keeps what finished, gives every other line an error line, and tells the workers', async () => {
    const told: Control[] = []
    await kit.bus.onControl((message) => told.push(message))
    await kit.start()
    const id = await kit.submit(lines(10))
    const held = await takeOne()
    await kit.note(held.job, 'held')
    await kit.record(held.job, [1, 3])
    await kit.db.query(`UPDATE batches SET status = 'cancelling', cancelling_at = now() WHERE id = $1`, [id])
    await kit.db.query(`SELECT pg_notify('forebay_batches', '')`)
    await eventually(() => kit.blobs.size(blobKeys.cancelled('acme', id)).then((size) => size !== undefined), {
      what: 'the cancel marker',
    })
    for (const each of [held, ...(await kit.take(8))]) await kit.note(each.job, 'returned')
    const batch = await untilStatus(id, 'cancelled')
    expect(batch).toMatchObject({ total: 10, completed: 2, failed: 8 })
    expect((await readLines(kit, batch['output_file_id']))?.map((each) => each.custom_id)).toEqual(['id-1', 'id-3'])
    const missing = await readLines(kit, batch['error_file_id'])
    expect(missing?.map((each) => each.custom_id)).toEqual([2, 4, 5, 6, 7, 8, 9, 10].map((n) => `id-${n}`))
    expect(new Set(missing?.map((each) => each.error?.code))).toEqual(new Set(['batch_cancelled']))
    expect(told).toContainEqual({ type: 'cancel-batch', batchId: id })
    expect(await eventsOf(id)).toEqual([{ type: 'batch.cancelled' }])
  })

  test('is closed after the grace although a worker never answers', async () => {
    await kit.start()
    const id = await kit.submit(lines(4))
    await takeOne()
    await kit.db.query(`UPDATE batches SET status = 'cancelling', cancelling_at = now() WHERE id = $1`, [id])
    const batch = await untilStatus(id, 'cancelled')
    expect(batch).toMatchObject({ total: 4, completed: 0, failed: 4, output_file_id: null })
  })
})

describe('an expired batch', () => {
  test('keeps what finished and gives every other line an error line', async () => {
    await kit.start()
    const id = await kit.submit(lines(6), { window: '1500 milliseconds' })
    const held = await takeOne()
    await kit.record(held.job, [2])
    const batch = await untilStatus(id, 'expired')
    expect(batch).toMatchObject({ total: 6, completed: 1, failed: 5 })
    expect((await readLines(kit, batch['output_file_id']))?.map((each) => each.custom_id)).toEqual(['id-2'])
    const missing = await readLines(kit, batch['error_file_id'])
    expect(missing?.map((each) => [each.custom_id, each.response, each.error?.code])).toEqual(
      [1, 3, 4, 5, 6].map((n) => [`id-${n}`, null, 'batch_expired']),
    )
    expect(await eventsOf(id)).toEqual([{ type: 'batch.expired' }])
  })

  test('that was never planned has no lines and no files', async () => {
    const id = await kit.submit(lines(2), { window: '-1 seconds' })
    await kit.start()
    const batch = await untilStatus(id, 'expired')
    expect(batch).toMatchObject({ total: 0, completed: 0, failed: 0, output_file_id: null, error_file_id: null })
  })
})

describe('a lost chunk', () => {
  const expectRest = async (first: Held) => {
    const second = await takeOne()
    expect(second.job).toMatchObject({ batchId: first.job.batchId, chunk: 0, attempt: 2 })
    await kit.record(second.job)
    const batch = await untilStatus(first.job.batchId, 'completed')
    expect(batch).toMatchObject({ total: 4, completed: 4 })
    const rows = await kit.db.query('SELECT line, attempt FROM requests ORDER BY line')
    expect(rows).toEqual([
      { line: 1, attempt: 1 },
      { line: 2, attempt: 1 },
      { line: 3, attempt: 2 },
      { line: 4, attempt: 2 },
    ])
  }

  test('of identical lines is one, and what is left of it is released again with a line that runs', async () => {
    await kit.start(patient)
    const same = (id: string) => line(id, 'the same').replace('"max_tokens"', '"temperature":0,"max_tokens"')
    const id = await kit.submit(Array.from({ length: 20 }, (_, i) => same(`id-${i + 1}`)))
    const first = await takeOne()
    const flagsOf = (held: Held) =>
      decodePlanEntries(Buffer.from(held.job.entries, 'base64')).map((e) => [e.line, e.flags])
    expect(flagsOf(first)).toEqual(Array.from({ length: 20 }, (_, i) => [i + 1, i === 0 ? 0 : 1]))
    const [row] = await kit.db.query(
      'SELECT count(*)::int AS n, max(entries) AS entries FROM chunks WHERE batch_id = $1',
      [id],
    )
    expect(row).toEqual({ n: 1, entries: 20 })
    await kit.record(
      first.job,
      Array.from({ length: 17 }, (_, i) => i + 1),
    )
    await kit.note(first.job, 'returned')
    const again = await takeOne()
    expect(again.job.attempt).toBe(2)
    expect(flagsOf(again)).toEqual([
      [18, 0],
      [19, 1],
      [20, 1],
    ])
  })

  test('that its worker hands back is released again without the lines that finished', async () => {
    await kit.start()
    await kit.submit(lines(4))
    const first = await takeOne()
    await kit.record(first.job, [1, 2])
    await kit.note(first.job, 'returned')
    await expectRest(first)
  })

  test('whose worker falls silent is released again without the lines that finished', async () => {
    await kit.start()
    await kit.submit(lines(4))
    const first = await takeOne()
    const why = async () => (await kit.db.query<{ why: string }>('SELECT route_reason AS why FROM chunks'))[0]?.why
    expect(await why()).toBe('default: no other window has room.')
    await kit.record(first.job, [1, 2])
    await expectRest(first)
    expect(await why()).toBe('default: attempt 2, after the one in default (silent).')
  })

  test('whose job the broker lost is released again', async () => {
    await kit.start()
    const id = await kit.submit(lines(4))
    await eventually(async () => (await kit.queues.queue('default.batch').depth()).visible === 1, { what: 'the job' })
    await kit.queues.queue('default.batch').purge()
    const again = await eventually(async () => (await kit.take())[0], { what: 'the second job', timeoutMs: 15_000 })
    expect(again.id).toBe(`${id}.0.2`)
  })

  test('that is complete although nobody said so is not run again', async () => {
    await kit.start()
    const id = await kit.submit(lines(4))
    const first = await takeOne()
    await kit.record(first.job)
    await kit.db.query('UPDATE chunk_progress SET done = 0')
    await kit.note(first.job, 'returned')
    await untilStatus(id, 'completed')
    expect(await kit.queues.queue('default.batch').depth()).toMatchObject({ visible: 0, inFlight: 1 })
  })
})

test('chunks that the broker refuses are sent again when it takes them, each as a later attempt', async () => {
  const queue = kit.queues.queue('default.batch')
  const send = queue.send.bind(queue)
  let refusals = 2
  queue.send = async (items) => {
    if (refusals-- <= 0) return send(items)
    const error = new ForebayError('unavailable', 'The broker is down.')
    return items.map(({ id }) => ({ id, ok: false, error }))
  }
  await kit.start()
  const id = await kit.submit(lines(4))
  const { batch, jobs } = await workUntil(id, 'completed')
  expect(jobs.map((held) => held.id)).toEqual([`${id}.0.3`])
  expect(batch).toMatchObject({ total: 4, completed: 4 })
  expect(
    await kit.db.query(`SELECT virtual_tokens = (SELECT sum(est_tokens) FROM chunks) AS once FROM tenants`),
  ).toEqual([{ once: true }])
})

test('two schedulers share the work: every chunk is released once, every batch ends once', async () => {
  await kit.start(patient)
  await kit.start(patient)
  const ids = await Promise.all(Array.from({ length: 6 }, () => kit.submit(lines(25))))
  const seen: string[] = []
  for (const id of ids) seen.push(...(await workUntil(id, 'completed')).jobs.map((held) => held.id))
  expect(new Set(seen).size).toBe(seen.length)
  expect(seen).toHaveLength(6 * 7)
  for (const id of ids) expect(await eventsOf(id)).toEqual([{ type: 'batch.completed' }])
})

test('a batch claimed by a scheduler that died is taken over, for planning and for finalising', async () => {
  const id = await kit.submit(lines(3))
  await kit.db.query(`UPDATE batches SET claimed_by = 'dead', claimed_until = now() + interval '1 second'`)
  await kit.start()
  const [held] = await kit.take()
  await kit.db.query(`UPDATE batches SET claimed_by = 'dead', claimed_until = now() + interval '1 second'`)
  if (held) await kit.record(held.job)
  expect(await untilStatus(id, 'completed')).toMatchObject({ completed: 3 })
})

test('a finalise that is repeated after a crash writes the same files and ends the batch once', async () => {
  const scheduler = await kit.start()
  const id = await kit.submit(lines(9))
  const { batch } = await workUntil(id, 'completed')
  await scheduler.stop()
  const files = () => kit.db.query(`SELECT id, bytes, sha256 FROM files WHERE purpose = 'batch_output' ORDER BY id`)
  const before = await files()
  // As if the process had died after the blobs and before the transaction.
  await kit.db.query(`DELETE FROM files WHERE purpose = 'batch_output'`)
  await kit.db.query('DELETE FROM events')
  await kit.db.query(
    `UPDATE batches SET status = 'finalizing', output_file_id = NULL, error_file_id = NULL, completed_at = NULL`,
  )
  await kit.start()
  const again = await untilStatus(id, 'completed')
  expect(await files()).toEqual(before)
  expect([again['output_file_id'], again['error_file_id']]).toEqual([batch['output_file_id'], batch['error_file_id']])
  expect(await eventsOf(id)).toHaveLength(1)
})

test('a drained pool gives back the chunks that no worker holds; they wait, and go out again when it is used again', async () => {
  await kit.start(patient)
  const id = await kit.submit(lines(12))
  const held = await takeOne()
  await kit.note(held.job, 'held')
  const queue = kit.queues.queue('default.batch')
  await eventually(async () => (await queue.depth()).visible === 2, { what: 'the other chunks' })
  await kit.db.query(`INSERT INTO pools (name, drained_at) VALUES ('default', now())`)
  await eventually(async () => (await queue.depth()).visible === 0, { what: 'the chunks to be taken back' })
  const states = () => kit.db.query('SELECT index, status, attempt FROM chunks ORDER BY index')
  await eventually(async () => (await states()).filter((chunk) => chunk['status'] === 'planned').length === 2, {
    what: 'the chunks to be planned again',
  })
  expect((await states())[0]).toEqual({ index: 0, status: 'released', attempt: 1 })
  await kit.record(held.job)
  await kit.receiver.settle(held, { kind: 'done' })
  expect(await kit.batch(id)).toMatchObject({
    waiting_for: "A pool that serves the model 'm': default is drained.",
    completed: 4,
  })
  await kit.db.query('DELETE FROM pools')
  const { batch, jobs } = await workUntil(id, 'completed')
  expect(jobs.map((job) => job.id)).toEqual([`${id}.1.2`, `${id}.2.2`])
  expect(batch).toMatchObject({ completed: 11, failed: 1 })
})

test('a batch that names an alias runs each line on its model, and every line comes back once', async () => {
  await kit.db.query(`INSERT INTO models (pool, model, engine) VALUES ('default', 'm2', 'test')`)
  const routes = [{ alias: 'chat', to: { m: 1, m2: 1 }, when: {} }]
  await kit.start(patient, { pools: { ...kit.pools, routes } })
  const id = await kit.submit(Array.from({ length: 24 }, (_, i) => line(`id-${i + 1}`, `q ${i}`, 'chat')))
  const { batch, jobs } = await workUntil(id, 'completed')
  expect(batch).toMatchObject({ model: 'chat', models: expect.arrayContaining(['m', 'm2']), total: 24 })
  expect(new Set(jobs.map(({ job }) => `${job.model} as ${job.alias}`))).toEqual(new Set(['m as chat', 'm2 as chat']))
  const out = [
    ...((await readLines(kit, batch['output_file_id'])) ?? []),
    ...((await readLines(kit, batch['error_file_id'])) ?? []),
  ]
  expect(out.map((each) => each.custom_id).sort()).toEqual(Array.from({ length: 24 }, (_, i) => `id-${i + 1}`).sort())
  const byModel = await kit.db.query<{ model: string }>('SELECT DISTINCT model FROM requests ORDER BY model')
  expect(byModel).toEqual([{ model: 'm' }, { model: 'm2' }])
})
