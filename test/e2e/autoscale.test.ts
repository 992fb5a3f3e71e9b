import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '@forebay/config'
import { silentLogger, systemClock } from '@forebay/kernel'
import { type Cluster, startCluster } from '@forebay/standalone'
import { tempDir } from '@forebay/test-support'
import { request } from 'undici'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { check } from '../faults/checker.mjs'
import { type BatchView, FaultClient } from '../faults/client.ts'

/* Real processes: an autoscaler with FOREBAY_LOCAL_WORKERS, and no worker at the start. */
const file = `pools:
  - { name: default, queue: '\${REDIS_URL}', tokensPerSecond: 0.05, coldStartSeconds: 2 }
`
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 60_000, interval: 50 })
let cluster: Cluster
beforeAll(async () => {
  const dataDir = tempDir()
  const configFile = join(dataDir, 'pools.yaml')
  await writeFile(configFile, file)
  const env = {
    PATH: process.env['PATH'],
    ...{ FOREBAY_LOG_LEVEL: 'silent', FOREBAY_DATA_DIR: dataDir, FOREBAY_CONFIG: configFile, PORT: '0' },
    ...{ FOREBAY_LOCAL_WORKERS: '0..2', FOREBAY_SCALE_EVERY_MS: '250', FOREBAY_SCALE_STABLE_MS: '1000' },
    ...{ FOREBAY_ENGINE_IN_FLIGHT: '8', FOREBAY_CHUNK_REQUESTS: '8', FOREBAY_DRAIN_MS: '3000' },
  }
  const { config } = loadConfig(env)
  cluster = await startCluster({
    ...{ config, env, clock: systemClock, logger: silentLogger },
    replicas: { gateway: 1, scheduler: 1, results: 1, webhooks: 1, autoscaler: 1, worker: 0 },
    simArgs: ['--profile', 'fixed', '--fixed-ms', '150'],
  })
})
afterAll(() => cluster?.stop())

interface Scaling {
  ready: number
  desired: number
  changes: { before: number; desired: number }[]
}

async function scaling(): Promise<Scaling> {
  const headers = { authorization: `Bearer ${cluster.apiKey}` }
  const answer = await request(`${cluster.urls[0]}/admin/scaling`, { headers })
  const { data } = (await answer.body.json()) as { data: Scaling[] }
  const [pool] = data
  if (!pool) throw new Error('nothing was decided yet')
  return pool
}

it('load arrives, workers appear, drain and disappear, and every line comes back once', async () => {
  const client = new FaultClient(cluster)
  expect((await until(scaling)).desired).toBe(0)
  const input = Array.from({ length: 240 }, (_, i) => {
    const body = { model: 'forebay-sim', max_tokens: 8, messages: [{ role: 'user', content: `Item ${i}` }] }
    return `${JSON.stringify({ custom_id: `c/${i}`, method: 'POST', url: '/v1/chat/completions', body })}\n`
  }).join('')
  const created = await client.createBatch(await client.upload('load.jsonl', input), 'load')
  await until(async () => expect((await scaling()).ready).toBeGreaterThan(0))
  const done = await until(async (): Promise<BatchView> => {
    const batch = await client.batch(created.id)
    expect(batch.status).toBe('completed')
    return batch
  })
  await until(async () => expect(await scaling()).toMatchObject({ ready: 0, desired: 0 }))
  // More than one was asked for while nobody knew what a worker gets through.
  const { changes } = await scaling()
  expect(changes.map(({ desired }) => desired)).toEqual(expect.arrayContaining([0, 1, 2]))
  const report = await check({
    databaseUrl: cluster.databaseUrl,
    batches: [
      {
        ...{ id: done.id, status: done.status, counts: done.request_counts, input },
        output: done.output_file_id ? await client.content(done.output_file_id) : '',
        errors: done.error_file_id ? await client.content(done.error_file_id) : '',
      },
    ],
  })
  expect(report).toMatchObject({ problems: [], lost: 0, doubled: 0, overcharged: 0 })
})
