import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
let admin: string
let key: string
beforeAll(async () => {
  harness = await startHarness()
  admin = await harness.newKey('ops', 'admin')
  key = await harness.newKey('acme')
  for (const type of ['input', 'output']) {
    const price = { model: '*', usage_type: type, nano_per_million: 1_000_000_000_000 }
    expect((await harness.call('POST', '/admin/prices', admin, price)).status).toBe(200)
  }
})
afterAll(() => harness.stop())

const set = (body: object) => harness.call('PUT', '/admin/budgets', admin, { tenant: 'acme', period: 'total', ...body })
const upload = async () => {
  const form = new FormData()
  form.set('purpose', 'batch')
  form.set(
    'file',
    new Blob([`${JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: {} })}\n`]),
    'in.jsonl',
  )
  const answer = await fetch(`${harness.url}/v1/files`, {
    method: 'POST',
    body: form,
    headers: { authorization: `Bearer ${key}` },
  })
  return ((await answer.json()) as { id: string }).id
}
const submit = async (file: string) =>
  harness.call('POST', '/v1/batches', key, {
    input_file_id: file,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })

it('sets, changes, lists and deletes budgets of a tenant, a project or a key', async () => {
  const made = await set({ hard_nano: 5, soft_nano: 3 })
  expect(made.json).toMatchObject({
    object: 'budget',
    scope: 'tenant',
    scope_id: 'acme',
    hard_nano: 5,
    soft_nano: 3,
    spent_nano: 0,
  })
  expect((await set({ hard_nano: 6 })).json).toMatchObject({ id: made.json['id'], hard_nano: 6, soft_nano: null })
  expect((await set({ project: 'default', hard_nano: 6 })).json).toMatchObject({
    scope: 'project',
    scope_id: 'default',
  })
  expect((await set({ project: 'nope', hard_nano: 6 })).status).toBe(404)
  expect((await set({ key: 'key_nope', hard_nano: 6 })).status).toBe(404)
  expect((await set({})).status).toBe(400)
  const listed = (await harness.call('GET', '/admin/budgets?tenant=acme', admin)).json['data'] as { id: string }[]
  expect(listed).toHaveLength(2)
  for (const { id } of listed) expect((await harness.call('DELETE', `/admin/budgets/${id}`, admin)).status).toBe(200)
  expect((await harness.call('DELETE', '/admin/budgets/budget_none', admin)).status).toBe(404)
  expect((await harness.call('GET', '/admin/budgets', key)).status).toBe(403)
})

it('refuses a batch at submit whose input alone cannot fit, and holds the estimate of one that fits', async () => {
  const file = await upload()
  await set({ hard_nano: 1_000_000 })
  const refused = await submit(file)
  expect(refused.status).toBe(429)
  expect(refused.json.error).toMatchObject({
    type: 'insufficient_quota',
    code: 'insufficient_quota',
    message: expect.stringContaining("budget of tenant 'acme'"),
  })
  expect((await harness.call('GET', '/v1/batches', key)).json['data']).toEqual([])
  await set({ hard_nano: 1_000_000_000 })
  expect((await submit(file)).status).toBe(200)
  const [budget] = (await harness.call('GET', '/admin/budgets', admin)).json['data'] as { held_nano: number }[]
  expect(budget?.held_nano).toBeGreaterThan(1_000_000)
})

it('refuses a live request that may cost more than there is left, before it reaches a queue', async () => {
  const registration = {
    workerId: 'w',
    pool: 'default',
    engine: 'vllm',
    engineUrl: 'http://e',
    models: [{ id: 'm', contextTokens: null }],
  }
  const counts = { realtime: 0, standard: 0, batch: 0 }
  await harness.bus.announce({
    ...registration,
    healthy: true,
    draining: false,
    inFlight: counts,
    inFlightMax: 1,
    tokensPerSecond: 1,
    atMs: Date.now(),
  })
  await set({ hard_nano: 5_000_000_000 })
  const ask = () => harness.call('POST', '/v1/chat/completions', key, { model: 'm', messages: [], max_tokens: 100_000 })
  expect((await ask()).json.error).toMatchObject({
    code: 'insufficient_quota',
    message: expect.stringContaining('max_tokens'),
  })
  expect(await harness.queues.queue('default.realtime').depth()).toMatchObject({ visible: 0 })
})
