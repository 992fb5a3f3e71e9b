import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'
import { answerJson, chatAnswer, startScriptedWorker } from '../../testing/scripted-worker.ts'

let harness: Harness
let admin: string
beforeAll(async () => {
  harness = await startHarness()
  admin = await harness.newKey('ops', 'admin')
})
afterAll(() => harness.stop())

const set = (tenant: string, body: object, key = admin) =>
  harness.call('POST', `/admin/tenants/${tenant}/retention`, key, body)

it('changes what is given, goes back to the default with null, and says what is in force', async () => {
  await harness.newKey('kept')
  const first = await harness.call('GET', '/admin/tenants/kept/retention', admin)
  expect(first.json).toMatchObject({
    zero: false,
    own: { input_days: null, output_days: null, audit_days: null, cache_seconds: null },
    in_force: { input_days: null, output_days: 30, audit_days: null, cache_seconds: 3600 },
  })
  await set('kept', { input_days: 7, output_days: 90, audit_days: 400 })
  expect((await set('kept', { output_days: null, cache_seconds: 60 })).json).toMatchObject({
    own: { input_days: 7, output_days: null, audit_days: 400, cache_seconds: 60 },
    in_force: { input_days: 7, output_days: 30, audit_days: 400, cache_seconds: 60 },
  })
  expect((await set('kept', { keep_live: true })).json).toMatchObject({ keep_live: true })
  expect((await set('kept', { zero: true })).json).toMatchObject({
    keep_live: false,
    in_force: { input_days: 0, output_days: 0, audit_days: 400, cache_seconds: 0 },
  })
  expect((await set('kept', { zero: false })).json).toMatchObject({
    keep_live: true,
    in_force: { input_days: 7, cache_seconds: 60 },
  })
})

it('refuses what it cannot do, and who may not', async () => {
  const user = await harness.newKey('kept')
  expect((await set('kept', {}, user)).status).toBe(403)
  expect((await set('nobody', {})).status).toBe(404)
  expect((await set('kept', { audit_days: 0 })).json.error).toMatchObject({ param: 'audit_days' })
  expect((await set('kept', { input_dayz: 1 })).status).toBe(400)
})

it('caches no answer of a tenant with zero retention, flushes what is there, and caches for no longer than is kept', async () => {
  await startScriptedWorker(harness, { models: ['m'], onJob: (_, send) => answerJson(send, chatAnswer) })
  const key = await harness.newKey('brief')
  const ask = async () => {
    const body = { model: 'm', temperature: 0, messages: [{ role: 'user', content: 'hi' }] }
    return (await harness.call('POST', '/v1/chat/completions', key, body)).headers.get('x-forebay-cache')
  }
  expect([await ask(), await ask()]).toEqual(['miss', 'hit'])
  await set('brief', { cache_seconds: 60 })
  expect([await ask(), await ask()]).toEqual(['miss', 'hit'])
  await set('brief', { zero: true })
  expect([await ask(), await ask()]).toEqual(['bypass', 'bypass'])
  await set('brief', { zero: false })
  expect(await ask()).toBe('miss')
})
