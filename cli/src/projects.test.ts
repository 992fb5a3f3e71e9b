import { expect, it, onTestFinished } from 'vitest'
import { json, refusal, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

const project = { id: 'search', object: 'project', tenant: 'acme', name: 'Search', created_at: 1_700_000_000 }

it('makes projects and lists them, as a table and as JSON, for a tenant where one is named', async () => {
  const server = await startApiServer({
    'GET /admin/projects': json({ object: 'list', data: [project] }),
    'POST /admin/projects': json(project),
  })
  onTestFinished(() => server.stop())
  const run = (...args: string[]) => runCommand(['projects', ...args], { url: server.url })
  const made = await run('create', 'search', '--name', 'Search', '--tenant', 'acme')
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ID .*\nsearch +acme +\S.* +Search\n$/) })
  expect(JSON.parse(server.calls[0]?.body ?? '')).toEqual({ id: 'search', name: 'Search', tenant: 'acme' })
  const listed = await run('list', '--tenant', 'acme', '--json')
  expect([listed.code, JSON.parse(listed.stdout)]).toEqual([0, [project]])
  expect(server.calls[1]?.url).toBe('/admin/projects?tenant=acme')
  expect((await run('list')).stdout).toContain('search')
  expect(server.calls[2]?.url).toBe('/admin/projects')
})

it('says what was wrong with a project, and shows examples in its help', async () => {
  const message = "The project 'search' exists already."
  const server = await startApiServer({
    'POST /admin/projects': refusal(409, { message, code: 'conflict', param: 'id' }),
  })
  onTestFinished(() => server.stop())
  const refused = await runCommand(['projects', 'create', 'search', '--json'], { url: server.url })
  expect([refused.code, refused.stdout]).toEqual([1, ''])
  expect(JSON.parse(refused.stderr)).toEqual({ error: { message, code: 'conflict', param: 'id' } })
  expect((await runCommand(['projects', '--help'])).stdout).toContain('forebay projects create search')
})
