import { openFolderBlobs } from '@forebay/blobs'
import { silentLogger, systemClock } from '@forebay/kernel'
import { openPools, parsePoolsFile } from '@forebay/pools'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { eventually, tempDir } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { answerJson, chatAnswer, startScriptedWorker } from '../testing/scripted-worker.ts'
import { LatencyBook } from './latency-book.ts'
import { prefixKey } from './prefix-key.ts'

const text = `
pools:
  - { name: cheap, queue: 'memory:', costPerGpuHour: 1, models: [cost, m] }
  - { name: dear, queue: 'memory:', costPerGpuHour: 4, models: [cost, m] }
  - { name: spare, queue: 'memory:', tier: 2, models: [m] }
  - { name: api, queue: 'memory:', managed: true, spendCapPerDay: 0.5, models: [m] }
routes:
  - { alias: chat, to: cost, when: { tenants: [aliased], maxTokens: 4096 } }
  - { alias: chat, to: m, when: { tenants: [aliased] } }
`
const queues = makeMemoryProvider({ clock: systemClock })
let harness: Harness
let admin: string
beforeAll(async () => {
  const set = { file: 'f.yaml', ...parsePoolsFile({ text, file: 'f.yaml', env: {} }) }
  const stores = { fileStore: openFolderBlobs({ root: tempDir() }), fileStoreUrl: 'files', leaseMs: 1000 }
  const open = { queues: async () => queues }
  harness = await startHarness({
    pools: openPools({ set, ...stores, open, clock: systemClock, logger: silentLogger }),
  })
  admin = await harness.newKey('ops', 'admin')
})
afterAll(() => harness.stop())

const worker = (pool: string, models = ['m']) =>
  startScriptedWorker({ ...harness, queues }, { pool, models, onJob: (_, send) => answerJson(send, chatAnswer) })

describe('a live request', () => {
  const routed = async (model: string, content = 'hi') => {
    const messages = [{ role: 'user', content }]
    const answer = await harness.call('POST', '/v1/chat/completions', await harness.newKey('r'), { model, messages })
    return answer.status === 200 ? answer.headers.get('x-forebay-route') : answer.json.error?.message
  }

  it('goes to the cheaper of pools that are equal in all else, and its answer says so', async () => {
    await worker('cheap', ['cost'])
    await worker('dear', ['cost'])
    expect(await routed('cost')).toBe('cheap; score')
    expect(await (await harness.registry.getSingleMetric('forebay_routes_total'))?.get()).toMatchObject({
      values: [{ value: 1, labels: { pool: 'cheap', reason: 'score' } }],
    })
  })

  it('for an alias reaches the model that it stands for, its other bytes as they came', async () => {
    const { jobs } = await worker('cheap', ['cost'])
    const key = await harness.newKey('aliased')
    const body = (model: string) =>
      `{ "x":1e2,\n "model" : "${model}", "messages":[{"role":"user","content":"\\u0068i"}], "max_tokens": 10 }`
    const answer = await harness.call('POST', '/v1/chat/completions', key, body('chat'))
    expect([answer.status, answer.headers.get('x-forebay-model')]).toEqual([200, 'cost'])
    expect(jobs[0]).toMatchObject({ model: 'cost', body: body('cost') })
    expect(jobs[0]?.route).toMatch(/^chat is cost by routes\[0\]\. cheap: /)
    expect(await routed('chat')).toMatch(/The model `chat` does not exist/)
    const list = await harness.call('GET', '/v1/models', key)
    expect(list.json['data']).toContainEqual(expect.objectContaining({ id: 'chat', owned_by: 'alias' }))
  })

  it('fails over tier by tier, then to a managed pool until its cap of the day is spent', async () => {
    for (const pool of ['cheap', 'dear', 'spare', 'api']) await worker(pool)
    const drain = (pool: string) => harness.call('POST', `/admin/pools/${pool}/drain`, admin)
    expect(await routed('m')).toMatch(/^(cheap|dear); score$/)
    await drain('cheap')
    await drain('dear')
    expect(await routed('m')).toBe('spare; failover')
    await drain('spare')
    expect(await routed('m')).toBe('api; overflow')
    await harness.db.query(
      `INSERT INTO ledger (request_id, kind, tenant_id, model, lane, pool, prompt_tokens, completion_tokens,
         reasoning_tokens, amount_nano, price_ids, occurred_at)
       VALUES ('x', 'usage', 'r', 'm', 'realtime', 'api', 1, 1, 0, 500000000, '{}', now())`,
    )
    await eventually(async () => expect(await routed('m')).toMatch(/No pool that serves the model/), {
      what: 'the cap to be spent',
    })
  })
})

describe('the key of a prefix', () => {
  const system = { role: 'system', content: 'x'.repeat(2_000) }

  it('is shared by prompts that begin alike, and that alone', () => {
    const chat = (content: string, model = 'm') => prefixKey(model, { messages: [system, { role: 'user', content }] })
    expect(chat('a')).toBe(chat('b'))
    expect(chat('a')).not.toBe(chat('a', 'n'))
    expect(chat('a')).not.toBe(prefixKey('m', { messages: [{ ...system, content: 'y'.repeat(2_000) }] }))
    const parts = [{ type: 'text', text: system.content }]
    expect(prefixKey('m', { messages: [{ role: 'system', content: parts }] })).toBe(chat('a'))
  })

  it('is none for a short prompt or one that is no text', () => {
    for (const messages of [[], [null], [{ role: 'user', content: 'hi' }], 'x', [{ content: 7 }]]) {
      expect(prefixKey('m', { messages })).toBeUndefined()
    }
    expect(prefixKey('m', { prompt: 'x'.repeat(1_024) })).toBeDefined()
    expect(prefixKey('m', { prompt: [1, 2, 3] })).toBeUndefined()
  })
})

it('a latency is a moving mean, apart for streams, and forgotten after a minute', () => {
  const book = new LatencyBook()
  const of = { pool: 'a', model: 'm', stream: true }
  book.observe(of, 100, 0)
  book.observe(of, 200, 1_000)
  expect(book.read(of, 61_000)).toBeCloseTo(120)
  expect(book.read({ ...of, stream: false }, 1_000)).toBeUndefined()
  expect(book.read(of, 61_001)).toBeUndefined()
})
