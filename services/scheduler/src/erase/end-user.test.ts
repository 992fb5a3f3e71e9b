import { createHash } from 'node:crypto'
import { blobKeys, type RequestJob, workJobSchema } from '@forebay/contracts'
import { newId, silentLogger, systemClock } from '@forebay/kernel'
import { endUserHash } from '@forebay/plan'
import { bodiesIn, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import { ensureTenant } from '@forebay/store'
import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { line, makeTestKit, readLines, type TestKit } from '../testing/test-kit.ts'
import { runErasures, sweepErased } from './erasures.ts'
import { sweepQueues } from './waiting-jobs.ts'

let kit: TestKit
beforeAll(async () => {
  kit = await makeTestKit()
  await kit.start()
})
afterAll(() => kit.stop())

const options = () => ({ ...kit, clock: systemClock, logger: silentLogger })
const of = (customId: string, names: object, content = 'secret') => {
  const request = JSON.parse(line(customId, content))
  return JSON.stringify({ ...request, body: { ...request.body, ...names } })
}

async function hashOf(endUser: string, tenantId = 'acme'): Promise<string> {
  const [row] = await kit.db.query<{ key: string }>(
    "SELECT encode(end_user_key, 'hex') AS key FROM tenants WHERE id = $1",
    [tenantId],
  )
  return endUserHash(row?.key ?? '', endUser)
}

async function ask(selector: string, target: string): Promise<string> {
  const id = newId('ers_', systemClock.now())
  await kit.db.query(
    `INSERT INTO erasures (id, tenant_id, selector, target, requested_by, created_at)
     VALUES ($1, 'acme', $2, $3, 'key_admin', clock_timestamp())`,
    [id, selector, target],
  )
  return id
}

async function stateOf(id: string) {
  const [row] = await kit.db.query<{ status: string; waiting_for: string | null; files: number; requests: number }>(
    'SELECT * FROM erasures WHERE id = $1',
    [id],
  )
  return row
}

const completed = async (id: string) => {
  await eventually(
    async () => {
      // What it waits for is looked at again after a while.
      await kit.db.query('UPDATE erasures SET claimed_until = now() WHERE waiting_for IS NOT NULL')
      return (await stateOf(id))?.status === 'completed'
    },
    { what: 'the erasure', timeoutMs: 15_000 },
  )
  return stateOf(id)
}

async function finish(batchId: string) {
  const [held] = await kit.take()
  if (!held) throw new Error('no chunk')
  await kit.record(held.job)
  await kit.receiver.settle(held, { kind: 'done' })
  await eventually(async () => (await kit.batch(batchId)).status === 'completed', { what: 'the batch to end' })
  return filesOf(batchId)
}

async function filesOf(batchId: string): Promise<Record<'input_file_id' | 'output_file_id', string>> {
  const [row] = await kit.db.query<Record<'input_file_id' | 'output_file_id', string>>(
    'SELECT input_file_id, output_file_id FROM batches WHERE id = $1',
    [batchId],
  )
  return row ?? { input_file_id: '', output_file_id: '' }
}

const bytesOf = async (key: string) => kit.blobs.readRange(key, 0, (await kit.blobs.size(key)) ?? 0)
const fileOf = (id: string, tenantId = 'acme') => bytesOf(blobKeys.file(tenantId, id))
const personal = async (batchId: string) =>
  (
    await kit.db.query<{ line: number }>(
      'SELECT line FROM requests WHERE batch_id = $1 AND salt IS NOT NULL ORDER BY line',
      [batchId],
    )
  ).map(({ line: number }) => number)

async function upload(id: string, text: string, tenantId = 'acme') {
  const key = blobKeys.file(tenantId, id)
  await kit.blobs.put(key, Buffer.from(text))
  await kit.db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key) VALUES ($1, $2, 'in', 'batch', $3, 'x', $4)`,
    [id, tenantId, text.length, key],
  )
}

test('an end user’s lines go from every file that has some, once its batches are over, and no other line', async () => {
  await ensureTenant(kit.db, { id: 'theirs' })
  const asked = `${of('a', { user: 'kim' })}\r\n\n${of('b', { user: 'bob' })}`
  await upload('file-unused', asked)
  await upload('file-theirs', asked, 'theirs')
  const batch = await kit.submit([
    of('kim-1', { user: 'kim' }),
    of('bob-1', { user: 'bob' }),
    of('kim-2', { safety_identifier: 'kim', user: 'x' }),
    of('none', {}),
  ])
  await eventually(async () => (await kit.batch(batch)).status === 'in_progress', { what: 'the plan' })
  const before = { input: await fileOf((await filesOf(batch)).input_file_id) }
  const id = await ask('end_user', await hashOf('kim'))
  await eventually(async () => (await stateOf(id))?.waiting_for?.startsWith(batch) ?? false, { what: 'it to wait' })
  const { input_file_id, output_file_id } = await finish(batch)
  const [part] = await kit.db.query<{ part_key: string }>('SELECT part_key FROM requests WHERE batch_id = $1', [batch])
  expect(await completed(id)).toMatchObject({ files: 3, requests: 2 })

  const input = await fileOf(input_file_id)
  expect([input.length, input.toString().match(/kim/g)]).toEqual([before.input.length, null])
  const lines = (text: Buffer) => text.toString().split('\n')
  expect(lines(input).map((each) => each.trim())).toEqual(
    lines(before.input).map((each) => (each.includes('"kim"') ? '{"erased":true}' : each)),
  )
  expect((await readLines(kit, output_file_id))?.map((each) => each.custom_id)).toEqual([
    ...['erased', 'bob-1', 'erased', 'none'],
  ])
  for (const fileId of [input_file_id, output_file_id]) {
    const [file] = await kit.db.query<{ sha256: Buffer }>('SELECT sha256 FROM files WHERE id = $1', [fileId])
    expect(file?.sha256).toEqual(
      createHash('sha256')
        .update(await fileOf(fileId))
        .digest(),
    )
  }
  const kept = (await bytesOf(part?.part_key ?? '')).toString()
  expect([kept.includes('kim'), kept.includes('bob-1')]).toEqual([false, true])
  expect(await personal(batch)).toEqual([2, 4])
  expect(lines(await fileOf('file-unused')).map((each) => each.trim())).toEqual([
    ...['{"erased":true}', '', of('b', { user: 'bob' })],
  ])
  expect((await fileOf('file-theirs', 'theirs')).toString()).toBe(asked)
  const events = await kit.db.query(`SELECT data FROM audit_events WHERE data->>'erasure' = $1`, [id])
  expect(events).toEqual([{ data: expect.not.objectContaining({ target: expect.anything() }) }])
  // Once more finds nothing.
  expect(await completed(await ask('end_user', await hashOf('kim')))).toMatchObject({ files: 0, requests: 0 })
})

test('lines whose input file is gone are found by their rows', async () => {
  const batch = await kit.submit([of('kim-1', { user: 'eve' }), of('bob-1', { user: 'bob' })])
  const { input_file_id, output_file_id } = await finish(batch)
  await kit.db.query('UPDATE files SET deleted_at = now() WHERE id = $1', [input_file_id])
  await kit.db.query(`UPDATE requests SET end_user = decode($2, 'hex') WHERE batch_id = $1 AND line = 1`, [
    ...[batch, await hashOf('eve')],
  ])
  expect(await completed(await ask('end_user', await hashOf('eve')))).toMatchObject({ files: 1, requests: 1 })
  expect((await readLines(kit, output_file_id))?.map((each) => each.custom_id)).toEqual(['erased', 'bob-1'])
  expect(await personal(batch)).toEqual([2])
})

test('of live requests it takes what is kept, as far as they came before, and forgets whom it was for', async () => {
  const hash = await hashOf('kim')
  const insert = async (requestId: string, endUser: string) => {
    const key = blobKeys.liveRequest('acme', '2026-01-01', requestId)
    await kit.blobs.put(key, Buffer.from('secret'))
    await kit.db.query(
      `INSERT INTO requests (born, id, tenant_id, api_key_id, body_hash, end_user, endpoint, model, pool, lane, worker_id,
         attempt, outcome, status_code, finished_at, input_key)
       VALUES (born_of($1), $1, 'acme', 'k', 'h', decode($2, 'hex'), '/v1/embeddings', 'm', 'default', 'realtime', 'w', 1,
         'succeeded', 200, now(), $3)`,
      [requestId, endUser, key],
    )
    return key
  }
  const theirs = await insert(newId('req_', systemClock.now()), hash)
  const bobs = await insert(newId('req_', systemClock.now()), await hashOf('bob'))
  const later = await insert(newId('req_', systemClock.now() + 3_600_000), hash)
  const id = await ask('end_user', hash)
  expect(await completed(id)).toMatchObject({ requests: 1 })
  const sizes = await Promise.all([theirs, bobs, later].map((key) => kit.blobs.size(key)))
  expect(sizes).toEqual([undefined, 6, 6])
  // A row that a worker's event brought late.
  const late = await insert(newId('req_', systemClock.now() - 60_000), hash)
  await kit.db.query(`UPDATE erasures SET completed_at = now() - interval '121 minutes' WHERE selector = 'end_user'`)
  while (await sweepErased(options()));
  expect([await kit.blobs.size(late), await kit.blobs.size(later)]).toEqual([undefined, 6])
  expect(await stateOf(id)).toMatchObject({ target: 'erased' })
})

test('nothing that was asked is left on a queue, among dead letters or beside them', async () => {
  const lone = await makeTestKit()
  const driver = lone.queues.queue('default.realtime')
  const codec = makeJsonCodec<RequestJob>(workJobSchema as unknown as { parse(value: unknown): RequestJob })
  const nowMs = systemClock.now()
  const job = (requestId: string, over: Partial<RequestJob> = {}): RequestJob => ({
    ...{ v: 1, kind: 'request', requestId, tenantId: 'acme', apiKeyId: 'k', attempt: 1, endpoint: '/v1/embeddings' },
    ...{ model: 'm', pool: 'default', lane: 'realtime', body: 'secret', stream: false, replyTo: 'x', estTokens: 1 },
    ...{ acceptedAtMs: nowMs - 60_000, deadlineMs: nowMs - 1, ...over },
  })
  const send = (id: string, over?: Partial<RequestJob>) =>
    makeJobSender({ driver, codec, clock: systemClock }).send([{ id, job: job(id, over) }])
  await send('dead')
  const [lease] = await driver.receive({ max: 1, waitMs: 0, leaseMs: 1_000 })
  if (lease) await driver.deadLetter(lease, { code: 'as a broker does it' })
  await send('expired')
  await send('waits', { deadlineMs: nowMs + 600_000 })
  await send('of another', { deadlineMs: nowMs + 600_000, apiKeyId: 'other' })
  const old = systemClock.now() - 2 * 3_600_000
  const bodies = bodiesIn(lone.blobs)
  const day = new Date(old).toISOString()
  const key = `${day.slice(0, 10)}/acme/${day.slice(11, 13)}/body_1`
  await bodies.put(key, Buffer.from('secret'))
  await lone.db.query(`INSERT INTO erasures (id, tenant_id, selector, target, requested_by, created_at)
    VALUES ('ers_1', 'acme', 'key', 'k', 'admin', clock_timestamp())`)
  const run = () => runErasures({ ...lone, clock: systemClock, logger: silentLogger }, new AbortController().signal)
  await run()
  const [state] = await lone.db.query('SELECT status, waiting_for FROM erasures')
  expect(state).toEqual({ status: 'running', waiting_for: '1 live request to run' })
  const left = await driver.receive({ max: 10, waitMs: 0, leaseMs: 1_000 })
  expect(left.map(({ id }) => id).sort()).toEqual(['of another', 'waits'])
  expect([(await driver.depth()).dead, await lone.blobs.size(`queue/${key}`)]).toEqual([0, undefined])
  await driver.ack(left)
  // Where no worker comes, what is too late goes without anybody asking.
  await send('late')
  await sweepQueues({ ...lone, clock: systemClock, logger: silentLogger })
  expect(await driver.depth()).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
  await lone.db.query('UPDATE erasures SET claimed_until = now()')
  await run()
  expect(await lone.db.query('SELECT status FROM erasures')).toEqual([{ status: 'completed' }])
  await lone.stop()
})
