import { openFolderBlobs } from '@forebay/blobs'
import { silentLogger, systemClock } from '@forebay/kernel'
import { openPools, parsePoolsFile } from '@forebay/pools'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { eventually, tempDir } from '@forebay/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'
import { answerJson, chatAnswer, startScriptedWorker } from '../../testing/scripted-worker.ts'

const text = `
pools:
  - { name: old, queue: 'memory:' }
  - { name: new, queue: 'memory:', gpu: L4, gpus: 2, versions: { m: b, late: b, big: b, wide: b } }
models:
  - { name: big, source: meta-llama/Llama-3.1-70B-Instruct, versions: [{ version: b }], variants: [{ name: v, tensorParallel: 2 }] }
  - { name: wide, source: meta-llama/Llama-3.1-8B-Instruct, versions: [{ version: b }], variants: [{ name: v, tensorParallel: 4 }] }
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
    config: { requestsPerMinute: 1_000_000 },
  })
  admin = await harness.newKey('ops', 'admin')
})
afterAll(() => harness.stop())
beforeEach(async () => void (await harness.db.query('DELETE FROM rollouts')))

const worker = (pool: string, models = ['m']) =>
  startScriptedWorker({ ...harness, queues }, { pool, models, onJob: (_, send) => answerJson(send, chatAnswer) })
const start = async (more: object = {}) =>
  harness.call('POST', '/admin/rollouts', admin, { model: 'm', to: 'b', ...more })
const move = (id: unknown, verb: string) => harness.call('POST', `/admin/rollouts/${id}/${verb}`, admin)

describe('a rollout', () => {
  it('moves live load from one version to the other and back without one failed request, each request to one of them', async () => {
    const [old, anew] = [await worker('old'), await worker('new')]
    const key = await harness.newKey('live')
    const statuses: number[] = []
    let loading = true
    const load = Array.from({ length: 6 }, async () => {
      while (loading) {
        const messages = [{ role: 'user', content: `hi ${statuses.length}` }]
        statuses.push((await harness.call('POST', '/v1/chat/completions', key, { model: 'm', messages })).status)
      }
    })
    const more = (jobs: unknown[], count: number) => {
      const from = jobs.length
      return eventually(() => jobs.length >= from + count, { what: `${count} more requests` })
    }
    await more(old.jobs, 20)
    expect(anew.jobs).toEqual([])
    const started = await start({ weight: 40, steps: [] })
    expect(started.json).toMatchObject({
      state: 'running',
      from: null,
      to: 'b',
      weight: 40,
      moves: [{ by: 'admin', weight: 40 }],
    })
    await Promise.all([more(old.jobs, 20), more(anew.jobs, 20)])
    expect((await move(started.json['id'], 'promote')).json).toMatchObject({ state: 'promoted', weight: 100 })
    const before = old.jobs.length
    await more(anew.jobs, 60)
    // What had chosen its pool when the move came may still have gone there.
    expect(old.jobs.length - before).toBeLessThanOrEqual(6)
    expect((await move(started.json['id'], 'rollback')).json).toMatchObject({ state: 'rolled_back', weight: 0 })
    await more(old.jobs, 20)
    loading = false
    await Promise.all(load)
    expect(statuses.filter((status) => status !== 200)).toEqual([])
    const ids = [...old.jobs, ...anew.jobs].map(({ requestId }) => requestId)
    expect(new Set(ids).size).toBe(statuses.length)
    const list = await harness.call('GET', '/admin/rollouts?model=m', admin)
    expect(list.json['data']).toMatchObject([
      { moves: [{}, { state: 'promoted' }, { state: 'rolled_back', by: 'admin' }] },
    ])
    const events = await harness.db.query<{ type: string }>('SELECT type FROM events ORDER BY created_at, id')
    expect(events.map(({ type }) => type)).toEqual(['rollout.started', 'rollout.promoted', 'rollout.rolled_back'])
  })

  it('says which version answered; while that has no worker, the old one answers', async () => {
    const chat = async () => {
      const body = { model: 'late', messages: [{ role: 'user', content: 'hi' }] }
      const { headers, status } = await harness.call('POST', '/v1/chat/completions', await harness.newKey('v'), body)
      return [status, headers.get('x-forebay-model-version')]
    }
    await worker('old', ['late'])
    expect((await start({ model: 'late', weight: 100 })).status).toBe(200)
    expect(await chat()).toEqual([200, null])
    await worker('new', ['late'])
    expect(await chat()).toEqual([200, 'b'])
  })

  it('is refused at once with the numbers when the version does not fit, and with the way out when there is none to roll out', async () => {
    await worker('old', ['m', 'big', 'wide'])
    await worker('new', ['m', 'big', 'wide'])
    const refused = async (body: object) => {
      const { json, status } = await start(body)
      return `${status} ${json.error?.message}`
    }
    await harness.db.query(
      "INSERT INTO models (pool, model, engine) SELECT p, m, 'x' FROM unnest('{old,new}'::text[]) p, unnest('{m,big,wide}'::text[]) m ON CONFLICT DO NOTHING",
    )
    expect(await refused({ model: 'big' })).toMatch(
      /^400 In the pool 'new': big \(v\) does not fit: 1\d\d\.\d GB of weights .* in 4\d\.\d GB of 2 × L4, -\d+\.\d GB left/,
    )
    expect(await refused({ model: 'wide' })).toBe(
      "400 wide (v) does not fit the pool 'new': it takes 4 GPUs (tensorParallel 4 × pipelineParallel 1), and a replica there has 2.",
    )
    expect(await refused({ to: 'c' })).toMatch(
      /400 No pool runs version 'c' of 'm': .* pool old names none, pool new runs b\.$/,
    )
    expect(await refused({ model: 'nobody' })).toMatch(/^404 No pool serves the model 'nobody'/)
    expect(await refused({ weight: 50, steps: [20] })).toMatch(
      /^400 Invalid 'steps': they must grow from the first weight, 50/,
    )
    const first = await start({})
    expect(first.json).toMatchObject({
      steps: [25, 50, 100],
      fit: [{ pool: 'new', told: expect.stringContaining('Not checked') }],
    })
    expect(await refused({})).toMatch(/^409 A rollout of 'm' is running already/)
    await move(first.json['id'], 'promote')
    expect(await refused({})).toBe("400 Version 'b' answers for 'm' already.")
    expect((await move('rollout_x', 'promote')).status).toBe(404)
    expect((await harness.call('GET', '/admin/rollouts', await harness.newKey('u'))).status).toBe(403)
  })
})
