import { openFolderBlobs } from '@forebay/blobs'
import { silentLogger, systemClock } from '@forebay/kernel'
import { openPools, parsePools } from '@forebay/pools'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { tempDir } from '@forebay/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'
import { answerJson, chatAnswer, startScriptedWorker } from '../../testing/scripted-worker.ts'

const file = `
pools:
  - { name: eu-a, queue: 'memory:', residency: [eu], region: eu-1, costPerGpuHour: 2.5, gpus: 4, maxReplicas: 3 }
  - { name: us-a, queue: 'memory:', models: [m, only-us] }
`
const queues = makeMemoryProvider({ clock: systemClock })
const fileStore = openFolderBlobs({ root: tempDir() })

let harness: Harness
let admin: string
beforeAll(async () => {
  const set = { file: 'pools.yaml', pools: parsePools({ text: file, file: 'pools.yaml', env: {} }) }
  const stores = { fileStore, fileStoreUrl: 'files', leaseMs: 1000, open: { queues: async () => queues } }
  const pools = openPools({ set, ...stores, clock: systemClock, logger: silentLogger })
  harness = await startHarness({ pools })
  admin = await harness.newKey('ops', 'admin')
})
afterAll(() => harness.stop())

const messages = [{ role: 'user', content: 'hi' }]
const worker = (pool: string, models = ['m']) =>
  startScriptedWorker({ ...harness, queues }, { pool, models, onJob: (_, send) => answerJson(send, chatAnswer) })
const chat = (key: string, headers: Record<string, string> = {}, model = 'm') =>
  harness.call('POST', '/v1/chat/completions', key, { model, messages }, headers)

describe('pools', () => {
  it('are listed to an admin, as they are configured and as they are', async () => {
    await worker('eu-a')
    const answer = await harness.call('GET', '/admin/pools', admin)
    const none = { waiting: 0, in_flight: 0, dead: 0 }
    expect(answer.json['data']).toMatchObject([
      {
        ...{ name: 'eu-a', state: 'up', workers: 1, models: ['m'], region: 'eu-1', residency: ['eu'], gpus: 4 },
        ...{ cost_per_gpu_hour: 2.5, min_replicas: 0, max_replicas: 3, drained_at: null, reason: null },
        depth: { realtime: none, standard: none, batch: none, results: none },
      },
      { name: 'us-a', state: 'no_workers', workers: 0, max_replicas: null },
    ])
    expect((await harness.call('GET', '/admin/pools', await harness.newKey('t'))).status).toBe(403)
  })

  it('that are drained get no live request until they are used again', async () => {
    const us = await worker('us-a', ['only-us'])
    const key = await harness.newKey('live')
    const drained = await harness.call('POST', '/admin/pools/us-a/drain', admin)
    expect(drained.json).toMatchObject({ name: 'us-a', state: 'drained', drained_at: expect.any(Number) })
    expect((await chat(key, {}, 'only-us')).json.error).toMatchObject({ code: 'unavailable' })
    expect(us.jobs).toEqual([])
    expect((await harness.call('POST', '/admin/pools/us-a/undrain', admin)).json).toMatchObject({ drained_at: null })
    expect((await chat(key, {}, 'only-us')).status).toBe(200)
    expect(us.jobs.map((job) => job.pool)).toEqual(['us-a'])
    const unknown = await harness.call('POST', '/admin/pools/mars/drain', admin)
    expect([unknown.status, unknown.json.error?.code]).toEqual([404, 'not_found'])
  })

  it('are kept to by a live request that names a residency, or whose tenant has one', async () => {
    const [eu, us] = [await worker('eu-a'), await worker('us-a')]
    const key = await harness.newKey('resident')
    for (let i = 0; i < 4; i++) expect((await chat(key, { 'x-forebay-residency': 'eu' })).status).toBe(200)
    expect([eu.jobs.length, us.jobs.length]).toEqual([4, 0])
    expect((await chat(key, { 'x-forebay-residency': 'mars' })).status).toBe(404)
    expect((await chat(key, { 'x-forebay-residency': 'No Tag' })).json.error?.code).toBe('invalid_value')
    const tenant = await harness.call('POST', '/admin/tenants', admin, { id: 'eu-only', residency: 'eu' })
    expect(tenant.json).toMatchObject({ residency: 'eu' })
    const own = await harness.newKey('eu-only')
    for (let i = 0; i < 4; i++) expect((await chat(own)).status).toBe(200)
    expect([eu.jobs.length, us.jobs.length]).toEqual([8, 0])
  })
})

describe('a batch', () => {
  const create = async (tenant: string, more: Record<string, unknown>, headers: Record<string, string> = {}) => {
    const client = await harness.sdk(tenant)
    const line = JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body: { model: 'm' } })
    const input = await client.files.create({ purpose: 'batch', file: new File([line], 'in.jsonl') })
    const body = { input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h', ...more }
    const answer = await harness.call('POST', '/v1/batches', await harness.newKey(tenant), body, headers)
    return [answer.status, answer.json['forebay'] ?? answer.json.error]
  }

  it('takes its residency from its body, a header, its metadata or its tenant', async () => {
    const eu = [200, expect.objectContaining({ residency: 'eu', waiting_for: null })]
    expect(await create('b', { forebay: { residency: 'eu' } })).toEqual(eu)
    expect(await create('b', {}, { 'x-forebay-residency': 'eu' })).toEqual(eu)
    expect(await create('b', { metadata: { residency: 'eu' } })).toEqual(eu)
    expect(await create('eu-only', {})).toEqual(eu)
    expect(await create('b', {})).toEqual([200, expect.objectContaining({ residency: null })])
  })

  it('is refused a residency that no pool has, which names those there are', async () => {
    const message = "Invalid 'forebay.residency': no pool carries the residency tag 'mars'. The pools carry: eu."
    expect(await create('b', { forebay: { residency: 'mars' } })).toEqual([
      400,
      expect.objectContaining({ code: 'invalid_value', param: 'forebay.residency', message }),
    ])
  })
})
