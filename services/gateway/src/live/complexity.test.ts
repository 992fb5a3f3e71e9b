import { openFolderBlobs } from '@forebay/blobs'
import { judgeTenantId } from '@forebay/contracts'
import { silentLogger, systemClock } from '@forebay/kernel'
import { openPools, parsePoolsFile } from '@forebay/pools'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { eventually, tempDir } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { answerJson, chatAnswer, startScriptedWorker } from '../testing/scripted-worker.ts'

const text = `
pools: [{ name: p, queue: 'memory:', models: [small, large] }]
routes: [{ alias: auto, complexity: { small: small, large: large, threshold: 0.2, sampleShare: 1, agreementMin: 0.8, samplesMin: 3 } }]
`
const queues = makeMemoryProvider({ clock: systemClock })
let harness: Harness
beforeAll(async () => {
  const set = { file: 'f.yaml', ...parsePoolsFile({ text, file: 'f.yaml', env: {} }) }
  const stores = { fileStore: openFolderBlobs({ root: tempDir() }), fileStoreUrl: 'files', leaseMs: 1000 }
  const open = { queues: async () => queues }
  harness = await startHarness({ pools: openPools({ set, ...stores, open, clock: systemClock, logger: silentLogger }) })
})
afterAll(() => harness.stop())

it('a small model that the large one contradicts is measured, and left for the large one until they agree', async () => {
  let largeSays = 'No, it is 7.'
  const said = (content: string) => ({
    ...chatAnswer,
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  })
  const { jobs } = await startScriptedWorker(
    { ...harness, queues },
    {
      ...{ pool: 'p', models: ['small', 'large'] },
      onJob: (job, send) => answerJson(send, said(job.model === 'large' ? largeSays : 'Yes.')),
    },
  )
  const key = await harness.newKey('t')
  const ask = async (content: string) => {
    const body = { model: 'auto', messages: [{ role: 'user', content }] }
    const { headers, json, status } = await harness.call('POST', '/v1/chat/completions', key, body)
    expect(status).toBe(200)
    route = headers.get('x-forebay-route') ?? ''
    return [headers.get('x-forebay-model'), (json['choices'] as { message: { content: string } }[])[0]?.message.content]
  }
  let route = ''
  const admin = await harness.newKey('ops', 'admin')
  const complexity = async () => {
    const { json } = await harness.call('GET', '/admin/routing', admin)
    return (json['rules'] as { complexity: object }[])[0]?.complexity
  }
  const checks = async (agreed: boolean) =>
    (await harness.db.query('SELECT 1 FROM complexity_checks WHERE agreed = $1', [agreed])).length

  expect(await ask('Prove it.')).toEqual(['large', 'No, it is 7.'])
  expect(route).toMatch(/^p; only; complexity 0\.\d\d from 0\.2$/)
  for (const i of [1, 2, 3]) expect(await ask(`easy ${i}`)).toEqual(['small', 'Yes.'])
  expect(route).toMatch(/^p; only; complexity 0\.\d\d below 0\.2$/)
  await eventually(async () => (await checks(false)) === 4, { what: 'four comparisons' })
  const shadow = jobs.filter(({ tenantId }) => tenantId === judgeTenantId)
  expect(shadow.map(({ lane, model }) => `${model} ${lane}`)).toEqual([
    ...['small standard', 'large standard', 'large standard', 'large standard'],
  ])
  // Comparisons wait for nothing, not for each other either.
  const compared = shadow.slice(1).map(({ body }) => JSON.parse(body).messages[0].content)
  expect(compared.sort()).toEqual(['easy 1', 'easy 2', 'easy 3'])
  let asked = 0
  await eventually(async () => (await ask(`now ${asked++}`))[0] === 'large', {
    what: 'the fallback',
    timeoutMs: 15_000,
  })
  expect(jobs.at(-1)?.route ?? jobs.at(-2)?.route).toBeDefined()
  expect(jobs.find(({ route }) => route?.includes('agrees with it in 0.00 of'))?.model).toBe('large')

  expect(route).toMatch(/below 0\.2, fallback$/)
  expect(await complexity()).toMatchObject({
    ...{ small: 'small', large: 'large', agreed: 0, agreement: 0, fallback: true },
    reason: expect.stringContaining('agrees with it in 0.00 of'),
  })

  largeSays = 'Yes.'
  await harness.db.query('DELETE FROM complexity_checks')
  for (let i = 0; i < 4; i++) await ask(`again ${i}`)
  await eventually(async () => (await checks(true)) >= 3, { what: 'answers that agree' })
  await eventually(async () => (await ask(`back ${asked++}`))[0] === 'small', { what: 'the return', timeoutMs: 15_000 })
  expect(await complexity()).toMatchObject({ agreement: 1, fallback: false, reason: null })
  expect((await harness.call('GET', '/admin/routing', key)).status).toBe(403)
})
