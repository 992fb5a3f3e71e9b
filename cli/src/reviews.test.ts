import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

const review = {
  ...{ id: 'review_1', object: 'review', status: 'open', reasons: ['safety'], judge_model: 'judge', model: 'm' },
  ...{ scores: { safety: 1, coherence: 5, factuality: 5, bias: 5 }, batch_id: 'batch_1', request_id: 'r', line: 7 },
  ...{ custom_id: 'c', note: null, decided_by: null, decided_at: null, created_at: 1_700_000_000 },
}

it('lists reviews, decides one with a note, and sets how much of a tenant is judged', async () => {
  const quality = { object: 'tenant.quality', tenant: 'acme', judge_model: 'judge', judge_share: 0.05 }
  const server = await startApiServer({
    'GET /v1/reviews': json({ data: [review], has_more: false }),
    'POST /v1/reviews/review_1': json({ ...review, status: 'rejected', note: 'no' }),
    'POST /admin/tenants/acme/quality': json(quality),
  })
  onTestFinished(() => server.stop())
  const { url } = server
  const list = await runCommand(['reviews', 'list', '--status', 'open', '--json'], { url })
  expect([list.code, JSON.parse(list.stdout)]).toEqual([0, [review]])
  expect(server.to('GET /v1/reviews')[0]?.url).toContain('status=open')
  const reject = await runCommand(['reviews', 'reject', 'review_1', '--note', 'no'], { url })
  expect(reject).toMatchObject({ code: 0, stdout: expect.stringContaining('rejected') })
  expect(await runCommand(['reviews', 'share', 'acme', '0.05'], { url })).toMatchObject({ code: 0 })
  expect(await runCommand(['reviews', 'share', 'acme', 'default', '--json'], { url })).toMatchObject({ code: 0 })
  expect((await runCommand(['reviews', 'share', 'acme', '2'], { url })).code).toBe(2)
  const bodies = server.calls.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body))
  expect(bodies).toEqual([{ decision: 'reject', note: 'no' }, { judge_share: 0.05 }, { judge_share: null }])
})
