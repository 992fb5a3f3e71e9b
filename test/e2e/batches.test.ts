import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chatLine, type Harness, modelOf, readLines, startHarness, untilBatch, uploadLines } from './harness.ts'

/* The whole path with the official SDK: upload, batch, engine, results, files. */
describe('a batch', () => {
  let harness: Harness
  let model: string
  beforeAll(async () => {
    harness = await startHarness({ simArgs: ['--profile', 'fixed', '--fixed-ms', '30'] })
    model = await modelOf(harness.openai)
  })
  afterAll(() => harness.stop())

  const create = (input_file_id: string, more = {}) =>
    harness.openai.batches.create({
      input_file_id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      ...more,
    })

  it('gives every line back exactly once, in line order, with counts, usage and cost that agree', async () => {
    const { openai, sql } = harness
    const lines = Array.from({ length: 300 }, (_, i) =>
      chatLine(model, `line-${i}`, `Question ${i % 7}: what is ${i}?`),
    )
    const started = await create(await uploadLines(openai, lines), { metadata: { team: 'docs' } })
    expect(started).toMatchObject({
      object: 'batch',
      status: 'validating',
      metadata: { team: 'docs' },
      output_file_id: null,
      errors: null,
    })
    const batch = await untilBatch(openai, started.id)
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 300, completed: 300, failed: 0 },
      error_file_id: null,
      model,
    })
    for (const at of ['in_progress_at', 'finalizing_at', 'completed_at', 'expires_at'] as const)
      expect(batch[at], at).toBeGreaterThan(0)

    const output = await readLines(openai, batch.output_file_id)
    expect(output.map((line) => line.custom_id)).toEqual(lines.map((_, i) => `line-${i}`))
    expect(output.every((line) => line.error === null && line.response?.status_code === 200)).toBe(true)
    const tokens = output.reduce((sum, line) => sum + (line.response?.body.usage?.total_tokens ?? 0), 0)
    expect(batch.usage?.total_tokens).toBe(tokens)

    const [ledger] = await sql(
      'SELECT count(*)::int AS entries, sum(amount_nano)::bigint AS nano FROM ledger WHERE batch_id = $1',
      [batch.id],
    )
    const [row] = await sql('SELECT cost_nano FROM batches WHERE id = $1', [batch.id])
    expect(ledger).toMatchObject({ entries: 300 })
    expect(Number(row?.['cost_nano'])).toBe(Number(ledger?.['nano']))
    expect(Number(ledger?.['nano'])).toBeGreaterThan(0)
  })

  it('runs 1,000 identical lines once, gives every line its answer, and charges them by the rule', async () => {
    const { openai, sql } = harness
    const lines = Array.from({ length: 1000 }, (_, i) =>
      chatLine(model, `same-${i}`, 'The same question', { temperature: 0 }),
    )
    const batch = await untilBatch(openai, (await create(await uploadLines(openai, lines))).id)
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 1000, completed: 1000, failed: 0 },
      forebay: { identical: 999, prefix: { expected_share: 0, file_order_share: 0 } },
    })
    const output = await readLines(openai, batch.output_file_id)
    expect(output.map((line) => line.custom_id)).toEqual(lines.map((_, i) => `same-${i}`))
    expect(new Set(output.map((line) => JSON.stringify(line.response?.body))).size).toBe(1)
    const kinds = await sql(
      'SELECT kind, count(*)::int AS entries, max(completion_tokens) > 0 AS told FROM ledger WHERE batch_id = $1 GROUP BY kind ORDER BY kind',
      [batch.id],
    )
    expect(kinds).toEqual([
      { kind: 'cache_hit', entries: 999, told: true },
      { kind: 'usage', entries: 1, told: true },
    ])
  })

  it('completes with an error file alone when every line fails, and says why per line', async () => {
    const { openai } = harness
    const lines = Array.from({ length: 5 }, (_, i) =>
      chatLine(model, `bad-${i}`, '[[sim:400]]', { max_tokens: 99_999_999 }),
    )
    const batch = await untilBatch(openai, (await create(await uploadLines(openai, lines))).id)
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 5, completed: 0, failed: 5 },
      output_file_id: null,
    })
    const errors = await readLines(openai, batch.error_file_id)
    expect(errors).toHaveLength(5)
    expect(errors[0]).toMatchObject({
      custom_id: 'bad-0',
      error: null,
      response: { status_code: 400, body: { error: { message: expect.any(String) } } },
    })
  })

  it('reports every bad line at once, runs nothing, and leaves no result file', async () => {
    const { openai } = harness
    const lines = [
      chatLine(model, 'a', 'x'),
      '{not json',
      chatLine(model, 'a', 'x'),
      chatLine('no-such-model', 'c', 'x'),
      chatLine(model, 'd', 'x', { stream: true }),
      '{}',
    ]
    const batch = await untilBatch(openai, (await create(await uploadLines(openai, lines))).id)
    expect(batch).toMatchObject({
      status: 'failed',
      output_file_id: null,
      error_file_id: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
    })
    expect(batch.failed_at).toBeGreaterThan(0)
    const found = (batch.errors?.data ?? []).map((error) => `${error.line} ${error.code}`)
    expect(found).toEqual(
      expect.arrayContaining([
        '2 invalid_json_line',
        '3 duplicate_custom_id',
        '5 streaming_unsupported',
        '6 missing_required_parameter',
      ]),
    )
    expect(found.some((fault) => fault.startsWith('4 '))).toBe(true)
  })

  it('keeps what was done when cancelled, and names the rest in the error file', async () => {
    const { openai, sql } = harness
    const lines = Array.from({ length: 4000 }, (_, i) => chatLine(model, `c-${i}`, `Cancel me, ${i}`))
    const started = await create(await uploadLines(openai, lines))
    await untilBatch(openai, started.id, (batch) => (batch.request_counts?.completed ?? 0) > 100)
    expect(await openai.batches.cancel(started.id)).toMatchObject({ status: 'cancelling' })
    const batch = await untilBatch(openai, started.id)
    expect(batch.status).toBe('cancelled')
    const output = await readLines(openai, batch.output_file_id)
    const errors = await readLines(openai, batch.error_file_id)
    expect(output.length).toBe(batch.request_counts?.completed)
    expect(output.length + errors.length).toBe(4000)
    expect(new Set([...output, ...errors].map((line) => line.custom_id)).size).toBe(4000)
    expect(errors[0]).toMatchObject({ response: null, error: { code: 'batch_cancelled' } })
    const [charged] = await sql('SELECT count(*)::int AS n FROM ledger WHERE batch_id = $1', [batch.id])
    expect(charged?.['n']).toBe(output.length)
    expect(await openai.batches.cancel(started.id)).toMatchObject({ status: 'cancelled' })
  })

  it('keeps what was done when its window ends, and names the rest in the error file', async () => {
    const { openai, sql } = harness
    const lines = Array.from({ length: 4000 }, (_, i) => chatLine(model, `e-${i}`, `Too late, ${i}`))
    const started = await create(await uploadLines(openai, lines))
    await untilBatch(openai, started.id, (batch) => (batch.request_counts?.completed ?? 0) > 50)
    await sql('UPDATE batches SET expires_at = now() WHERE id = $1', [started.id])
    const batch = await untilBatch(openai, started.id)
    expect(batch.status).toBe('expired')
    expect(batch.expired_at).toBeGreaterThan(0)
    const output = await readLines(openai, batch.output_file_id)
    const errors = await readLines(openai, batch.error_file_id)
    expect(output.length).toBeGreaterThan(50)
    expect(output.length + errors.length).toBe(4000)
    expect(errors.at(-1)?.error).toEqual({
      code: 'batch_expired',
      message: 'This request could not be executed before the completion window expired.',
    })
  })

  it('is created once under one Idempotency-Key', async () => {
    const { openai } = harness
    const fileId = await uploadLines(openai, [chatLine(model, 'once', 'x')])
    const headers = { 'Idempotency-Key': 'the-same' }
    const body = { input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h' } as const
    const twins = await Promise.all(
      Array.from({ length: 10 }, () => openai.batches.create(body, { headers, maxRetries: 3 })),
    )
    expect(new Set(twins.map((batch) => batch.id)).size).toBe(1)
    await expect(openai.batches.create({ ...body, metadata: { other: 'body' } }, { headers })).rejects.toMatchObject({
      status: 422,
    })
  })

  it('embeds and completes as well as it chats', async () => {
    const { openai } = harness
    for (const [endpoint, body] of [
      ['/v1/embeddings', { model, input: 'a text' }],
      ['/v1/completions', { model, prompt: 'Once', max_tokens: 8 }],
    ] as const) {
      const lines = Array.from({ length: 10 }, (_, i) =>
        JSON.stringify({ custom_id: `${i}`, method: 'POST', url: endpoint, body }),
      )
      const batch = await untilBatch(openai, (await create(await uploadLines(openai, lines), { endpoint })).id)
      expect(batch, endpoint).toMatchObject({
        status: 'completed',
        request_counts: { total: 10, completed: 10, failed: 0 },
      })
    }
  })

  it('splits lines at byte 0x0A only', async () => {
    const { openai } = harness
    const lines = ['\u2028', '\u2029', '\u0085'].map((odd, i) => chatLine(model, `odd-${i}`, `one${odd}two`))
    const batch = await untilBatch(openai, (await create(await uploadLines(openai, lines))).id)
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 3, completed: 3, failed: 0 } })
  })

  it('lets a ten-line batch pass a long one that came before', async () => {
    const { openai } = harness
    const long = await create(
      await uploadLines(
        openai,
        Array.from({ length: 30_000 }, (_, i) => chatLine(model, `l-${i}`, `long ${i}`)),
      ),
    )
    await untilBatch(openai, long.id, (batch) => (batch.request_counts?.completed ?? 0) > 0)
    const short = await create(
      await uploadLines(
        openai,
        Array.from({ length: 10 }, (_, i) => chatLine(model, `s-${i}`, `short ${i}`)),
      ),
    )
    await untilBatch(openai, short.id)
    const then = await openai.batches.retrieve(long.id)
    expect(then.status).toBe('in_progress')
    await openai.batches.cancel(long.id)
    await untilBatch(openai, long.id)
  })

  it('is listed newest first, page by page', async () => {
    const { openai } = harness
    const all: string[] = []
    for await (const batch of openai.batches.list({ limit: 2 })) all.push(batch.id)
    expect(all.length).toBeGreaterThan(6)
    expect(new Set(all).size).toBe(all.length)
  })
})
