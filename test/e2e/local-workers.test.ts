import { loadConfig } from '@forebay/config'
import { silentLogger, systemClock } from '@forebay/kernel'
import { type Standalone, startStandalone } from '@forebay/standalone'
import { tempDir } from '@forebay/test-support'
import { request } from 'undici'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { FaultClient } from '../faults/client.ts'

/* Everything in this process but the workers, which its autoscaler starts and stops. */
let standalone: Standalone
beforeAll(async () => {
  const env = {
    PATH: process.env['PATH'],
    ...{ FOREBAY_LOG_LEVEL: 'silent', FOREBAY_DATA_DIR: tempDir(), PORT: '0', FOREBAY_LOCAL_WORKERS: '0..1' },
    ...{ FOREBAY_SCALE_EVERY_MS: '250', FOREBAY_SCALE_STABLE_MS: '500', FOREBAY_DRAIN_MS: '1000' },
  }
  const { config } = loadConfig(env)
  const simArgs = ['--profile', 'instant']
  standalone = await startStandalone({ config, env, clock: systemClock, logger: silentLogger, simArgs })
})
afterAll(() => standalone?.stop())

it('npm start with FOREBAY_LOCAL_WORKERS starts a worker process for a batch that comes, and none before', async () => {
  const scaling = async () => {
    const headers = { authorization: `Bearer ${standalone.apiKey}` }
    const answer = await request(`${standalone.url}/admin/scaling`, { headers })
    const { data } = (await answer.body.json()) as { data: { desired: number; ready: number; changes: object[] }[] }
    return data[0]
  }
  const until = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 45_000, interval: 50 })
  await until(async () => expect(await scaling()).toMatchObject({ desired: 0, ready: 0 }))
  const client = new FaultClient({ urls: [standalone.url], apiKey: standalone.apiKey })
  const body = { model: standalone.engine.models[0], max_tokens: 4, messages: [{ role: 'user', content: 'Hello' }] }
  const input = `${JSON.stringify({ custom_id: 'one', method: 'POST', url: '/v1/chat/completions', body })}\n`
  const { id } = await client.createBatch(await client.upload('one.jsonl', input), 'one')
  await until(async () => expect(await client.batch(id)).toMatchObject({ status: 'completed' }))
  expect((await scaling())?.changes).toContainEqual(expect.objectContaining({ before: 0, desired: 1 }))
})
