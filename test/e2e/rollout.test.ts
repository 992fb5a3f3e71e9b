import { eventually, redisUrl } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type PoolsHarness, startPools } from './pools-harness.ts'

const model = 'forebay-sim'
let harness: PoolsHarness
beforeAll(async () => {
  harness = await startPools([
    { name: 'old', queueUrl: `${redisUrl()}/5`, fixedMs: 30 },
    { name: 'new', queueUrl: `${redisUrl()}/6`, fixedMs: 30, versions: { [model]: 'b' } },
  ])
  await harness.ready()
})
afterAll(() => harness?.stop())

const admin = async (path: string, body: object = {}) => {
  const headers = { authorization: `Bearer ${harness.key}`, 'content-type': 'application/json' }
  const answer = await fetch(`${harness.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  expect(answer.status, `POST ${path}`).toBe(200)
  return (await answer.json()) as { id: string }
}
const done = async (id: string, lines: number) =>
  eventually(async () => Object.values(await harness.linesByPool(id)).reduce((sum, count) => sum + count, 0) >= lines, {
    what: `${lines} lines of ${id}`,
    timeoutMs: 20_000,
  })
/** Small batches, until one is answered by that pool alone: the scheduler has followed. */
const followed = (pool: string) =>
  eventually(
    async () => {
      const id = await harness.submit(2)
      await harness.expectComplete(id)
      return Object.keys(await harness.linesByPool(id)).join() === pool
    },
    { what: `batches to go to ${pool}`, timeoutMs: 20_000 },
  )

it('batches run on while their version is switched, promoted and rolled back: every line once, no request fails', async () => {
  const statuses = new Map<number, number>()
  let loading = true
  const live = (async () => {
    for (let i = 0; loading; i++) {
      const { response } = await harness.openai.chat.completions
        .create({ model, max_tokens: 4, messages: [{ role: 'user', content: `live ${i}` }] })
        .withResponse()
        .catch((err: { status?: number }) => ({ response: { status: err.status ?? 0 } }))
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
    }
  })()
  const whole = { lost: 0, doubled: 0, overcharged: 0, problems: [], failed: 0 }

  const before = await harness.submit(400)
  await done(before, 40)
  const { id } = await admin('/admin/rollouts', { model, to: 'b', weight: 50, steps: [] })
  await admin(`/admin/rollouts/${id}/promote`)
  await followed('new')
  const during = await harness.submit(400)
  await done(during, 40)
  await admin(`/admin/rollouts/${id}/rollback`)
  await followed('old')
  const after = await harness.submit(80)

  for (const [batch, lines] of [
    [before, 400],
    [during, 400],
    [after, 80],
  ] as const) {
    expect(await harness.expectComplete(batch)).toMatchObject({ ...whole, lines, completed: lines })
  }
  loading = false
  await live
  expect([...statuses.keys()]).toEqual([200])
  expect((await harness.linesByPool(before))['old']).toBeGreaterThanOrEqual(40)
  expect((await harness.linesByPool(during))['new']).toBeGreaterThanOrEqual(40)
  expect(Object.keys(await harness.linesByPool(after))).toEqual(['old'])
}, 60_000)
