import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

it('lists pools with their queues, and drains them', async () => {
  const depth = { waiting: 3, in_flight: 1, dead: 0 }
  const pool = {
    ...{ name: 'eu-a', region: 'eu-central-1', residency: ['eu', 'de'], state: 'up', reason: null, models: ['llama'] },
    ...{ workers: 2, tokens_per_second: 1234, in_flight: { realtime: 1, standard: 0, batch: 7 } },
    depth: { realtime: depth, standard: depth, batch: depth, results: depth },
  }
  const down = { ...pool, name: 'us-a', state: 'unreachable', reason: 'Redis is gone.', depth: null }
  const server = await startApiServer({
    'GET /admin/pools': json({ object: 'list', data: [pool, down] }),
    'POST /admin/pools/eu-a/drain': json({ ...pool, state: 'drained' }),
  })
  onTestFinished(() => server.stop())
  const [listed, drained] = await Promise.all([
    runCommand(['pools'], { url: server.url }),
    runCommand(['pools', 'drain', 'eu-a'], { url: server.url }),
  ])
  expect(listed.stdout).toMatch(/\neu-a +up +2 +9 +8 +1,234 +eu-central-1 +eu,de +llama\nus-a +unreachable +2 +- /)
  expect(listed.stderr).toContain('us-a: Redis is gone.')
  expect(drained).toMatchObject({ code: 0, stderr: expect.stringContaining('eu-a gets nothing new') })
})

it('checks a configuration file without a gateway, and prints its schema', async () => {
  const cwd = tempDir()
  const file = join(cwd, 'forebay.config.yaml')
  writeFileSync(file, `pools:\n  - name: eu-a\n    queue: redis://eu:6379\n`)
  expect(await runCommand(['pools', 'check'], { cwd })).toMatchObject({ code: 0, stdout: 'eu-a\n' })
  writeFileSync(file, 'pools:\n  - name: EU\n    queue: x://y\n')
  const bad = await runCommand(['pools', 'check'], { cwd })
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringMatching(/2 faults.*line 2: pools\[0\]\.name.*line 3: /s)])
  const schema = await runCommand(['pools', 'schema'], { cwd })
  expect(JSON.parse(schema.stdout)).toMatchObject({ required: ['pools'] })
})
