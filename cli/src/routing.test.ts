import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

const when = { tenants: null, endpoints: null, min_tokens: null, max_tokens: null }

it('shows aliases with their rules, how the models of a complexity rule compare, and warns of one that fell back', async () => {
  const routing = {
    object: 'routing',
    weights: { latency: 0.4, cost: 0.3, load: 0.2, proximity: 0.1 },
    home: { cloud: 'aws', region: 'eu-1' },
    rules: [
      { alias: 'chat', to: { a: 90, b: 10 }, when: { ...when, tenants: ['acme'], min_tokens: 8 }, complexity: null },
      {
        ...{ alias: 'auto', to: { s: 1, l: 1 }, when },
        complexity: {
          ...{ small: 's', large: 'l', threshold: 0.5, agreement_min: 0.8, checks: 100, agreement: 0.5 },
          ...{ fallback: true, reason: 's agrees with it in 0.50 of 100 comparisons only, 0.8 is asked' },
        },
      },
    ],
  }
  const server = await startApiServer({ 'GET /admin/routing': json(routing) })
  onTestFinished(() => server.stop())
  const run = (...args: string[]) => runCommand(['routing', ...args], { url: server.url })
  const [plain, data] = await Promise.all([run(), run('--json')])
  expect(plain.stdout).toContain('latency 0.4, cost 0.3, load 0.2, proximity 0.1')
  expect(plain.stdout).toMatch(/\nchat +a 90, b 10 +tenants acme, from 8 tokens +- +- +- +-/)
  expect(plain.stdout).toMatch(/\nauto +s below 0\.5, else l +- +0\.50 +0\.8 +100 +yes/)
  expect(plain.stderr).toContain('auto: l answers everything: s agrees with it in 0.50 of 100 comparisons only')
  expect(JSON.parse(data.stdout)).toEqual(routing)
})

it('shows of each request in the audit log where it went and why', async () => {
  const row = {
    ...{
      id: 'req_1',
      model: 'm',
      lane: 'realtime',
      outcome: 'succeeded',
      status_code: 200,
      attempts: 1,
      source: 'engine',
    },
    ...{ pool: 'eu-a', why: 'eu-a: the best score of 2 pools.', usage: { input_tokens: 1, output_tokens: 2 } },
    ...{ timings: { total_ms: 5 }, finished_at: '2026-11-21T10:00:00.000Z' },
  }
  const rows = [row, { ...row, id: 'req_2', why: null }]
  const server = await startApiServer({
    'GET /admin/audit': json({ object: 'list', data: rows, has_more: false, last_id: 'req_2' }),
  })
  onTestFinished(() => server.stop())
  const { code, stderr, stdout } = await runCommand(['audit', 'list', '--tenant', 't', '--why', '--limit', '2'], {
    url: server.url,
  })
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(
    /^ID +MODEL +POOL +FINISHED +WHY\nreq_1 +m +eu-a .* eu-a: the best score of 2 pools\.\nreq_2 .* -\n?$/,
  )
})
