import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

it('flushes cached answers of what is named, and switches a tenant’s cache', async () => {
  const flushed = { object: 'cache.flush', tenant: 'acme', model: null }
  const state = { object: 'tenant.cache', tenant: 'acme', exact: false, semantic: true, trust: [] }
  const server = await startApiServer({
    'POST /admin/cache/flush': json(flushed),
    'POST /admin/tenants/acme/cache': json(state),
  })
  onTestFinished(() => server.stop())
  const { url } = server
  const [flush, set] = await Promise.all([
    runCommand(['cache', 'flush', '--tenant', 'acme', '--json'], { url }),
    runCommand(['cache', 'set', 'acme', '--exact', 'off', '--semantic', 'on'], { url }),
  ])
  expect([flush.code, JSON.parse(flush.stdout)]).toEqual([0, flushed])
  expect(set).toMatchObject({ code: 0, stdout: 'acme: exact cache off, semantic cache on\n' })
  const bodies = server.calls.map(({ body }) => JSON.parse(String(body)))
  expect(bodies).toEqual(expect.arrayContaining([{ tenant: 'acme' }, { exact: false, semantic: true }]))
})
