import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../testing/harness.ts'
import { answerJson, chatAnswer, startScriptedWorker } from '../testing/scripted-worker.ts'

// Counts of letters and digits: paraphrases and traps alike lie close together.
function embed(text: string): number[] {
  const vector = Array.from({ length: 36 }, () => 0.01)
  for (const letter of text.toLowerCase().match(/[a-z0-9]/g) ?? []) {
    const at = Number.parseInt(letter, 36)
    vector[at] = (vector[at] ?? 0) + 1
  }
  return vector
}
const embeddings = createServer(async (req, res) => {
  let body = ''
  for await (const part of req) body += part
  const { input } = JSON.parse(body) as { input: string[] }
  res.end(JSON.stringify({ data: input.map((text, index) => ({ index, embedding: embed(text) })) }))
})

let harness: Harness
beforeAll(async () => {
  await new Promise<void>((resolve) => embeddings.listen(0, '127.0.0.1', resolve))
  const { port } = embeddings.address() as AddressInfo
  const semantic = { embeddingsUrl: `http://127.0.0.1:${port}`, embeddingsModel: 'letters', semanticSimilarity: 0.7 }
  harness = await startHarness({ config: { ...semantic, semanticSamples: 2, semanticSampleShare: 0 } })
})
afterAll(async () => {
  await harness.stop()
  embeddings.closeAllConnections()
  embeddings.close()
})

it('a tenant that wants it is served by meaning once that was measured, with its own guards and headers', async () => {
  const worker = await startScriptedWorker(harness, {
    models: ['m'],
    onJob: (_, send) => answerJson(send, chatAnswer),
  })
  const key = await harness.newKey('semantic')
  const admin = await harness.newKey('semantic-admin', 'admin')
  const path = '/admin/tenants/semantic/cache'
  const trust = async () => (await harness.call('GET', path, admin)).json['trust']
  const ask = async (content: string) => {
    const body = { model: 'm', temperature: 0, messages: [{ role: 'user', content }] }
    const answer = await harness.call('POST', '/v1/chat/completions', key, body)
    return { ...answer, cache: answer.headers.get('x-forebay-cache') }
  }
  await ask('What is the status of order 48213?')
  expect(await trust()).toEqual([])
  expect((await harness.call('POST', path, admin, { semantic: true })).json).toMatchObject({
    exact: true,
    semantic: true,
  })

  // In shadow everything is computed; each near answer is compared with what was computed, after the client has its
  // own: one asked while that goes on is already served.
  let asked = 0
  const measured = async () => {
    const { cache } = await ask(`${'please '.repeat(++asked)}tell me the status of order 48213`)
    const serving = JSON.stringify(await trust()).includes('serving')
    if (!serving) expect(cache).toBe('miss')
    return serving
  }
  await eventually(measured, { what: 'trust' })
  const computed = worker.jobs.length
  expect(computed).toBeGreaterThan(3)
  const served = await ask('Show me the status of order 48213, please')
  expect([served.cache, served.json, worker.jobs.length]).toEqual(['semantic', chatAnswer, computed])
  expect(Number(served.headers.get('x-forebay-cache-similarity'))).toBeGreaterThan(0.7)
  expect(served.headers.get('x-forebay-source-request-id')).toMatch(/^req_/)
  expect((await ask('Show me the status of order 48231, please')).cache).toBe('miss')

  await harness.call('POST', '/admin/cache/flush', admin, { tenant: 'semantic' })
  expect((await ask('Show me the status of order 48213, please')).cache).toBe('miss')
})
