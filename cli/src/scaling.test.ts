import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

it('shows how many workers each pool should have and why, the changes when asked, and warns of what is stuck', async () => {
  const pool = {
    ...{
      pool: 'eu-a',
      object: 'scaling',
      ready: 1,
      warming: 1,
      desired: 2,
      wanted: 2,
      reason: 'Up from 1 to 2: work.',
    },
    ...{ stuck: true, outstanding_tokens: 9_500_000, live_tokens_per_second: 12.4, decided_at: 1, age_seconds: 700 },
    changes: [{ at: 1_760_000_000, before: 1, desired: 2, reason: 'Up from 1 to 2: work.' }],
  }
  const server = await startApiServer({ 'GET /admin/scaling': json({ object: 'list', data: [pool] }) })
  onTestFinished(() => server.stop())
  const run = (...args: string[]) => runCommand(['scaling', ...args], { url: server.url })
  const [plain, changes, data] = await Promise.all([run(), run('--changes'), run('--json')])
  expect(plain.stdout).toMatch(/\neu-a +1 +2 +9,?500,?000 +12 +700 s +Up from 1 to 2: work\./)
  expect(plain.stdout).not.toContain('FROM')
  expect(plain.stderr).toContain('eu-a: workers do not come. Up from 1 to 2: work.')
  expect(plain.stderr).toContain('The decision for eu-a is 700 s old: is the autoscaler running?')
  expect(changes.stdout).toMatch(/\neu-a +2025-10-09T08:53:20.000Z +1 +2 +Up from 1 to 2: work\./)
  expect(JSON.parse(data.stdout)).toEqual([pool])
})

it('says that nothing was decided yet', async () => {
  const server = await startApiServer({ 'GET /admin/scaling': json({ object: 'list', data: [] }) })
  onTestFinished(() => server.stop())
  const { code, stderr } = await runCommand(['scaling'], { url: server.url })
  expect([code, stderr]).toEqual([0, expect.stringContaining('is the autoscaler running?')])
})
