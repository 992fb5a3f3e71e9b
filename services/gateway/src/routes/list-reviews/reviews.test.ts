import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness.stop())

/** A tenant with so many flagged answers; answers how to call the API as it. */
async function withReviews(tenant: string, count: number) {
  const key = await harness.newKey(tenant)
  for (let i = 1; i <= count; i++) {
    const request = `batch_req_${tenant}_${i}`
    await harness.db.query(
      `INSERT INTO quality_scores (request_id, tenant_id, batch_id, model, judge_model, safety, coherence, factuality, bias)
       VALUES ($1, $2, $3, 'm', 'judge', 5, 4, 1, 5)`,
      [request, tenant, `batch_${tenant}`],
    )
    await harness.db.query(
      `INSERT INTO reviews (id, tenant_id, request_id, reasons, created_at)
       VALUES ($1, $2, $3, '{factuality}', to_timestamp($4))`,
      [`review_${tenant}_${i}`, tenant, request, 1_000 + i],
    )
  }
  return (method: string, path: string, body?: object) => harness.call(method, path, key, body)
}

type Listed = { id: string }[]

it('lists a tenant its own reviews only, in pages that miss and repeat none, by where they stand', async () => {
  const call = await withReviews('rev-list', 3)
  await withReviews('rev-other', 1)
  const first = await call('GET', '/v1/reviews?limit=2')
  expect(first.json).toMatchObject({ object: 'list', has_more: true, last_id: 'review_rev-list_2' })
  const rest = await call('GET', `/v1/reviews?limit=2&after=${first.json['last_id']}`)
  expect([first, rest].flatMap(({ json }) => (json['data'] as Listed).map(({ id }) => id))).toEqual(
    [3, 2, 1].map((i) => `review_rev-list_${i}`),
  )
  const shown = {
    ...{ object: 'review', status: 'open', reasons: ['factuality'], judge_model: 'judge', model: 'm', note: null },
    ...{ scores: { safety: 5, coherence: 4, factuality: 1, bias: 5 }, batch_id: 'batch_rev-list', line: null },
  }
  expect(rest.json).toMatchObject({ data: [shown], has_more: false })
  await call('POST', '/v1/reviews/review_rev-list_2', { decision: 'approve' })
  const open = await call('GET', '/v1/reviews?status=open')
  expect(open.json['data']).toHaveLength(2)
  const approved = await call('GET', '/v1/reviews?status=approved')
  expect(approved.json).toMatchObject({ data: [{ id: 'review_rev-list_2', decided_by: expect.any(String) }] })
})

it('decides nothing of another tenant, and nothing by an unknown word', async () => {
  const call = await withReviews('rev-mine', 1)
  await withReviews('rev-theirs', 1)
  expect(await call('GET', '/v1/reviews/review_rev-theirs_1')).toMatchObject({ status: 404 })
  expect(await call('POST', '/v1/reviews/review_rev-theirs_1', { decision: 'approve' })).toMatchObject({ status: 404 })
  const wrong = await call('POST', '/v1/reviews/review_rev-mine_1', { decision: 'maybe' })
  expect(wrong).toMatchObject({ status: 400, json: { error: { param: 'decision' } } })
  expect(await call('GET', '/v1/reviews/review_rev-mine_1')).toMatchObject({
    ...{ status: 200, json: { status: 'open', request: null, answer: null } },
  })
})

it("keeps a tenant's own share of answers to be judged, for an admin alone", async () => {
  const call = await withReviews('rev-share', 0)
  expect(await call('GET', '/admin/tenants/rev-share/quality')).toMatchObject({ status: 403 })
  const admin = await harness.newKey('rev-share', 'admin')
  const set = (judge_share: number | null) =>
    harness.call('POST', '/admin/tenants/rev-share/quality', admin, { judge_share })
  expect((await set(0.25)).json).toMatchObject({ judge_share: 0.25, own_judge_share: 0.25, judge_model: null })
  expect((await set(null)).json).toMatchObject({ judge_share: 0.01, own_judge_share: null })
  expect(await set(1.5)).toMatchObject({ status: 400, json: { error: { param: 'judge_share' } } })
})
