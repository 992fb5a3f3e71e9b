import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.stop())

it('shows an admin what was decided for each pool, with the latest changes first, and nobody else', async () => {
  const admin = await harness.newKey('ops', 'admin')
  expect((await harness.call('GET', '/admin/scaling', admin)).json).toEqual({ object: 'list', data: [] })
  await harness.db.query(
    `INSERT INTO scaling (pool, ready, warming, desired, wanted, reason, stuck, outstanding_tokens, live_tokens_per_second)
     VALUES ('a', 1, 2, 3, 5, 'Up from 1 to 3.', true, 9e6, 12.5), ('b', 0, 0, 0, 0, 'Stays at 0.', false, 0, 0)`,
  )
  const changes = Array.from({ length: 12 }, (_, i) => `('a', ${i}, ${i + 1}, 'Up from ${i}.')`)
  await harness.db.query(`INSERT INTO scaling_decisions (pool, before, desired, reason) VALUES ${changes.join(', ')}`)
  const { json, status } = await harness.call('GET', '/admin/scaling', admin)
  expect(status).toBe(200)
  const [a, b] = json['data'] as { changes: { before: number }[] }[]
  expect(a).toMatchObject({
    ...{ pool: 'a', object: 'scaling', ready: 1, warming: 2, desired: 3, wanted: 5, reason: 'Up from 1 to 3.' },
    ...{ stuck: true, outstanding_tokens: 9e6, live_tokens_per_second: 12.5, decided_at: expect.any(Number) },
    age_seconds: expect.any(Number),
  })
  expect(a?.changes.map(({ before }) => before)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
  expect((a as { age_seconds?: number }).age_seconds).toBeLessThan(60)
  expect(b).toMatchObject({ pool: 'b', changes: [] })
  const user = await harness.newKey('team', 'user')
  expect((await harness.call('GET', '/admin/scaling', user)).status).toBe(403)
})
