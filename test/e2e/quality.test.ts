import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { chatLine, type Harness, modelOf, readLines, startHarness, untilBatch, uploadLines } from './harness.ts'

/* What Forebay says of answers, over the whole path: the check of a batch, the judge, and the reviews of what it flags. */
let harness: Harness
let model: string
beforeAll(async () => {
  // Whatever is not the best score is flagged: the simulator draws its scores.
  const env = { FOREBAY_JUDGE_MODEL: 'forebay-sim', FOREBAY_JUDGE_SCORE_MIN: '5' }
  harness = await startHarness({ env: { ...env, FOREBAY_JUDGE_SHARE: '0' } })
  model = await modelOf(harness.openai)
})
afterAll(() => harness.stop())

const create = (input_file_id: string, more = {}) =>
  harness.openai.batches.create({ input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h', ...more })
const scripted = (...answers: string[]) => `Say it. [[sim:answers=${JSON.stringify(answers)}]]`
const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const { apiKey, url } = harness.standalone
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

it('runs again only the lines whose answer does not fit, charges the answer that is kept, and records the rest as waste', async () => {
  const { openai, sql } = harness
  const fits = '{"name":"Ada","age":36}'
  const lines = [
    chatLine(model, 'at-once', scripted(fits), { max_tokens: 64 }),
    chatLine(model, 'second', scripted('Ada is 36.', fits), { max_tokens: 64 }),
    chatLine(model, 'never', scripted('Ada is 36.', '{"name":"Ada"}'), { max_tokens: 64 }),
  ]
  const json_schema = { type: 'object', properties: { age: { type: 'integer' } }, required: ['name', 'age'] }
  const started = await create(await uploadLines(openai, lines), {
    forebay: { check: { json_schema, max_retries: 2 } },
  })
  const batch = await untilBatch(openai, started.id)
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 3, completed: 2, failed: 1 } })
  const output = await readLines(openai, batch.output_file_id)
  expect(output.map((line) => [line.custom_id, line.response?.body.choices?.[0]?.message?.content])).toEqual([
    ['at-once', fits],
    ['second', fits],
  ])
  const [failed] = await readLines(openai, batch.error_file_id)
  expect(failed).toMatchObject({
    custom_id: 'never',
    response: { status_code: 200, body: { choices: [{ message: { content: '{"name":"Ada"}' } }] } },
    error: {
      code: 'check_failed',
      message: "The answer does not fit the schema: must have required property 'age'.",
    },
  })
  const charged = await sql('SELECT count(*)::int AS entries FROM ledger WHERE batch_id = $1', [batch.id])
  expect(charged).toEqual([{ entries: 3 }])
  const waste = await sql(
    `SELECT w.reason, r.custom_id FROM waste w JOIN requests r ON r.id = w.request_id WHERE w.batch_id = $1 ORDER BY r.line`,
    [batch.id],
  )
  expect(waste).toEqual([
    { reason: 'check', custom_id: 'second' },
    { reason: 'check', custom_id: 'never' },
  ])
})

it('has a sample judged at the cost of its own tenant, and lets a person decide on what is flagged, once', async () => {
  const { openai, sql } = harness
  const [{ tenant_id: tenant } = {}] = await sql('SELECT tenant_id FROM batches LIMIT 1')
  await api('POST', `/admin/tenants/${tenant}/quality`, { judge_share: 1 })
  const loop = 'So it goes on and on again. '.repeat(8)
  const lines = Array.from({ length: 6 }, (_, i) =>
    chatLine(model, `line-${i}`, `${i}: ${scripted(loop)}`, { max_tokens: 200 }),
  )
  const batch = await untilBatch(openai, (await create(await uploadLines(openai, lines))).id)
  expect(batch).toMatchObject({ status: 'completed' })
  const { forebay } = await api<{ forebay: { quality: object } }>('GET', `/v1/batches/${batch.id}`)
  expect(forebay.quality).toMatchObject({ repetition: { answers: 6, over: 6 }, perplexity: null })

  const run = await eventually(
    async () => (await sql('SELECT * FROM judge_runs WHERE batch_id = $1 AND read_at IS NOT NULL', [batch.id]))[0],
    { what: 'the judge’s scores to be read', timeoutMs: 30_000 },
  )
  const reviews = await api<{ data: { id: string; batch_id: string; reasons: string[]; custom_id: string }[] }>(
    'GET',
    '/v1/reviews?status=open',
  )
  const flagged = reviews.data.filter((review) => review.batch_id === batch.id)
  expect(run).toMatchObject({ sampled: 6, scored: 6, unscored: 0, flagged: flagged.length })
  const [first] = flagged
  if (!first) throw new Error('nothing was flagged')
  expect(first.reasons.length).toBeGreaterThan(0)

  const shown = await api<{ answer: { choices: { message: { content: string } }[] } }>('GET', `/v1/reviews/${first.id}`)
  expect(shown.answer.choices[0]?.message.content).toBe(loop)
  expect(shown).toMatchObject({ status: 'open', request: { model } })
  const decide = (decision: string) => api<object>('POST', `/v1/reviews/${first.id}`, { decision, note: 'a loop' })
  expect(await decide('reject')).toMatchObject({ status: 'rejected', note: 'a loop' })
  expect(await decide('reject')).toMatchObject({ status: 'rejected' })
  await expect(decide('approve')).rejects.toThrow('409')
  expect(await sql('SELECT epoch::int FROM cache_epochs WHERE tenant_id = $1 AND model = $2', [tenant, model])).toEqual(
    [{ epoch: 1 }],
  )

  expect(
    await sql("SELECT tenant_id, data FROM events WHERE type = 'quality.alert' AND data->>'id' = $1", [batch.id]),
  ).toEqual([{ tenant_id: tenant, data: { id: batch.id, judged: 6, flagged: flagged.length } }])
  const paid = await sql('SELECT DISTINCT tenant_id FROM ledger WHERE batch_id = $1', [run?.['judge_batch_id']])
  expect(paid).toEqual([{ tenant_id: 'forebay-judge' }])
  // The judge's own batch is not judged in its turn, and its input is over.
  expect(
    await sql("SELECT FROM judge_runs j JOIN batches b ON b.id = j.batch_id WHERE b.tenant_id = 'forebay-judge'"),
  ).toEqual([])
  const files = await sql(
    'SELECT f.expires_at <= now() AS over FROM batches b JOIN files f ON f.id IN (b.input_file_id, b.output_file_id) WHERE b.id = $1',
    [run?.['judge_batch_id']],
  )
  expect(files).toEqual([{ over: true }, { over: true }])
})
