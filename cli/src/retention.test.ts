import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

it('shows what is kept and by whose wish, and changes only what is given', async () => {
  const retention = {
    object: 'tenant.retention',
    tenant: 'acme',
    zero: false,
    keep_live: false,
    own: { input_days: 7, output_days: null, audit_days: null, cache_seconds: null },
    in_force: { input_days: 7, output_days: 30, audit_days: null, cache_seconds: 3600 },
  }
  const server = await startApiServer({
    'GET /admin/tenants/acme/retention': json(retention),
    'POST /admin/tenants/acme/retention': json(retention),
  })
  onTestFinished(() => server.stop())
  const { url } = server
  const got = await runCommand(['retention', 'get', 'acme'], { url })
  expect(got.code).toBe(0)
  expect(got.stdout).toMatch(/inputs +7 days +own/)
  expect(got.stdout).toMatch(/audit +for ever +default/)
  const set = await runCommand(['retention', 'set', 'acme', '--audit', 'default', '--zero', 'on', '--json'], { url })
  expect(JSON.parse(set.stdout)).toEqual(retention)
  expect(JSON.parse(String(server.calls.at(-1)?.body))).toEqual({ audit_days: null, zero: true })
  expect(await runCommand(['retention', 'set', 'acme'], { url })).toMatchObject({ code: 2 })
})
