import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.stop())

async function withFile(tenant: string) {
  const client = await harness.sdk(tenant)
  const content = Buffer.from('{"custom_id":"a"}\n')
  const file = await client.files.create({ file: await toFile(content, 'a.jsonl'), purpose: 'batch' })
  const body = { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' } as const
  return { client, file, body, key: client.apiKey }
}

describe('batches through the official SDK', () => {
  it('are created validating, with explicit nulls, and the scheduler is told', async () => {
    const { client, file, body } = await withFile('batch-create')
    const told: string[] = []
    const listening = await harness.db.listen('forebay_batches', (id) => told.push(id))
    onTestFinished(() => listening.stop())
    const batch = await client.batches.create({ ...body, metadata: { team: 'a' } })
    expect(batch).toMatchObject({
      object: 'batch',
      status: 'validating',
      input_file_id: file.id,
      errors: null,
      output_file_id: null,
      error_file_id: null,
      in_progress_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      usage: { input_tokens: 0, total_tokens: 0 },
      metadata: { team: 'a' },
      forebay: { lane: 'batch', cost_nano: 0 },
    })
    expect(batch.expires_at).toBe(batch.created_at + 86_400)
    expect(await client.batches.retrieve(batch.id)).toEqual(batch)
    await expect.poll(() => told).toContain(batch.id)
  })

  it('take windows from a minute to 30 days, and no others', async () => {
    const { client, body } = await withFile('batch-window')
    for (const [window, seconds] of [
      ['1m', 60],
      ['90m', 5_400],
      ['30d', 2_592_000],
    ] as const) {
      const batch = await client.batches.create({ ...body, completion_window: window as '24h' })
      expect(batch.expires_at).toBe(batch.created_at + seconds)
    }
    for (const window of ['31d', '0h', '24', '1s', '24H', '-1d', '721h']) {
      const refused = client.batches.create({ ...body, completion_window: window as '24h' })
      await expect(refused).rejects.toMatchObject({ status: 400, param: 'completion_window', code: 'invalid_value' })
    }
  })

  it('keep the check that their answers must fit, and refuse one that cannot be used', async () => {
    const { client, body } = await withFile('batch-check')
    const create = (check: unknown, more = {}) =>
      client.batches.create({ ...body, forebay: { check }, ...more } as typeof body)
    const schema = { type: 'object', required: ['a'] }
    const batch = await create({ json_schema: schema })
    expect(batch).toMatchObject({ forebay: { check: { json_schema: schema, max_retries: 2 } } })
    expect(await client.batches.retrieve(batch.id)).toEqual(batch)
    for (const [check, param] of [
      [{ regex: '(' }, 'forebay.check.regex'],
      [{ json_schema: { type: 'text' } }, 'forebay.check.json_schema'],
      [{ regex: 'a', json_schema: {} }, 'forebay.check'],
      [{ regex: 'a', max_retries: 11 }, 'forebay.check.max_retries'],
    ] as const) {
      await expect(create(check)).rejects.toMatchObject({ status: 400, code: 'invalid_value', param })
    }
    const endpoint = '/v1/embeddings'
    await expect(create({ regex: 'a' }, { endpoint })).rejects.toMatchObject({ status: 400, param: 'forebay.check' })
  })

  it('come in pages that miss and repeat none', async () => {
    const { client, body } = await withFile('batch-pages')
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push((await client.batches.create(body)).id)
    const seen: string[] = []
    for await (const batch of client.batches.list({ limit: 2 })) seen.push(batch.id)
    expect(seen).toEqual(ids.reverse())
    await expect(client.batches.list({ after: 'batch_none' })).rejects.toMatchObject({ status: 404 })
    await expect(client.batches.list({ limit: 101 })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('Expected a value <= 100, but got 101 instead.'),
    })
  })

  it('are cancelled once; cancelling again is fine, cancelling what has ended is a 409 that SDKs do not retry', async () => {
    const { client, body, key } = await withFile('batch-cancel')
    const { id } = await client.batches.create(body)
    const cancelling = await client.batches.cancel(id)
    expect(cancelling).toMatchObject({ status: 'cancelling', cancelling_at: expect.any(Number) })
    expect(await client.batches.cancel(id)).toEqual(cancelling)
    for (const status of ['completed', 'failed', 'expired', 'finalizing']) {
      await harness.db.query('UPDATE batches SET status = $1 WHERE id = $2', [status, id])
      const refused = await harness.call('POST', `/v1/batches/${id}/cancel`, key)
      expect(refused.status).toBe(409)
      expect(refused.json.error?.message).toBe(`Cannot cancel a batch with status '${status}'.`)
      expect(refused.headers.get('x-should-retry')).toBe('false')
    }
    await harness.db.query("UPDATE batches SET status = 'cancelled' WHERE id = $1", [id])
    expect((await client.batches.cancel(id)).status).toBe('cancelled')
  })

  it('keep their input file from being deleted while they live', async () => {
    const { client, body, file } = await withFile('batch-file')
    const { id } = await client.batches.create(body)
    await expect(client.files.delete(file.id)).rejects.toMatchObject({
      status: 409,
      message: expect.stringContaining(id),
    })
    await harness.db.query("UPDATE batches SET status = 'completed' WHERE id = $1", [id])
    expect((await client.files.delete(file.id)).deleted).toBe(true)
  })
})

describe('an Idempotency-Key', () => {
  it('makes one batch of 20 twins at once, and answers all the same', async () => {
    const { body, key } = await withFile('idem-race')
    const headers = { 'idempotency-key': 'twins' }
    const twins = await Promise.all(
      Array.from({ length: 20 }, () => harness.call('POST', '/v1/batches', key, body, headers)),
    )
    expect(new Set(twins.map((twin) => twin.status))).toEqual(new Set([200]))
    expect(new Set(twins.map((twin) => twin.text)).size).toBe(1)
    expect(await harness.db.query("SELECT 1 FROM batches WHERE tenant_id = 'idem-race'")).toHaveLength(1)
  })

  it('used for another request is a 422; another tenant may use the same', async () => {
    const [one, other] = [await withFile('idem-one'), await withFile('idem-other')]
    const headers = { 'idempotency-key': 'k' }
    const first = await harness.call('POST', '/v1/batches', one.key, one.body, headers)
    const reordered = { completion_window: '24h', endpoint: one.body.endpoint, input_file_id: one.file.id }
    expect((await harness.call('POST', '/v1/batches', one.key, reordered, headers)).text).toBe(first.text)
    const changed = { ...one.body, metadata: { a: 'b' } }
    const refused = await harness.call('POST', '/v1/batches', one.key, changed, headers)
    expect([refused.status, refused.json.error?.code]).toEqual([422, 'idempotency_mismatch'])
    const theirs = await harness.call('POST', '/v1/batches', other.key, other.body, headers)
    expect([theirs.status, theirs.json['id'] === first.json['id']]).toEqual([200, false])
  })
})

describe('a wrong request for a batch is refused in OpenAI’s words', () => {
  const nul = String.fromCharCode(0)
  it.each([
    [
      'an endpoint',
      { endpoint: '/v1/x' },
      'endpoint',
      'invalid_value',
      /^Invalid value: '\/v1\/x'\. Supported values are: '\/v1\/chat\/completions', /,
    ],
    [
      'a missing file id',
      { input_file_id: undefined },
      'input_file_id',
      'missing_required_parameter',
      /^Missing required parameter: 'input_file_id'\.$/,
    ],
    [
      'metadata of arrays',
      { metadata: { tags: [] } },
      'metadata.tags',
      'invalid_type',
      /^Invalid type for 'metadata\.tags': expected a string, but got an array instead\.$/,
    ],
    [
      'a long metadata value',
      { metadata: { a: 'x'.repeat(513) } },
      'metadata.a',
      'invalid_value',
      /maximum length 512, but got a string with length 513/,
    ],
    [
      'too much metadata',
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, ''])) },
      'metadata',
      'invalid_value',
      /at most 16 properties/,
    ],
    [
      'a long metadata key',
      { metadata: { ['k'.repeat(65)]: '' } },
      'metadata',
      'invalid_value',
      /maximum length 64, but got 65/,
    ],
    ['a NUL in metadata', { metadata: { a: `x${nul}` } }, 'metadata.a', 'invalid_value', /NUL/],
    ['half a surrogate pair', { metadata: { a: '\ud800' } }, 'metadata.a', 'invalid_value', /surrogate/],
    [
      'an unknown file',
      { input_file_id: 'file-none' },
      'input_file_id',
      'invalid_request',
      /^Cannot find file file-none, or organization batch-wrong does not have access to it\.$/,
    ],
    [
      'a short output expiry',
      { output_expires_after: { anchor: 'created_at', seconds: 1 } },
      'output_expires_after.seconds',
      'invalid_value',
      /Expected a value >= 3600/,
    ],
  ])('%s', async (_, change, param, code, message) => {
    const { client, body } = await withFile('batch-wrong')
    const refused = await client.batches.create({ ...body, ...change } as typeof body).catch((err: unknown) => err)
    expect(refused).toBeInstanceOf(OpenAI.BadRequestError)
    expect(refused).toMatchObject({ param, code, error: { message: expect.stringMatching(message) } })
  })

  it('a file of another purpose', async () => {
    const { client, body } = await withFile('batch-purpose')
    const file = await client.files.create({ file: await toFile(Buffer.from('x'), 'a'), purpose: 'user_data' })
    await expect(client.batches.create({ ...body, input_file_id: file.id })).rejects.toMatchObject({ status: 400 })
  })
})
