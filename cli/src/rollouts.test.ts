import { expect, it, onTestFinished } from 'vitest'
import { json, refusal, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

const rollout = {
  ...{ id: 'rollout_1', model: 'llama', from: null, to: 'b', state: 'running', weight: 10, steps: [25, 100] },
  ...{ reason: 'Started: 10 %.', fit: [{ pool: 'eu', told: 'It fits: 16.1 GB of weights.' }] },
}

it('starts, lists, promotes and rolls back rollouts by the model', async () => {
  const server = await startApiServer({
    'POST /admin/rollouts': json(rollout),
    'GET /admin/rollouts': json({ object: 'list', data: [rollout] }),
    'POST /admin/rollouts/rollout_1/promote': json({ ...rollout, reason: 'Promoted by an admin.' }),
    'POST /admin/rollouts/rollout_1/rollback': json({ ...rollout, reason: 'Rolled back by an admin.' }),
  })
  onTestFinished(() => server.stop())
  const run = (...args: string[]) => runCommand(['models', ...args], { url: server.url })
  const started = await run(
    'rollout',
    'llama',
    '--to',
    'b',
    '--weight',
    '10',
    '--steps',
    '25,100',
    '--min-sample',
    '50',
  )
  expect(started).toMatchObject({ code: 0, stdout: 'rollout_1\n' })
  expect(started.stderr).toContain('eu: It fits: 16.1 GB of weights.')
  expect(JSON.parse(server.to('POST /admin/rollouts')[0]?.body ?? '')).toEqual({
    ...{ model: 'llama', to: 'b', weight: 10, steps: [25, 100], min_sample: 50 },
  })
  expect((await run('rollouts')).stdout).toMatch(/\nllama +- +b +running +10 % +25,100 +Started: 10 %\.\n/)
  expect(JSON.parse((await run('rollouts', '--json')).stdout)).toEqual([rollout])
  expect((await run('promote', 'llama')).stderr).toContain('Promoted by an admin.')
  expect((await run('rollback', 'llama')).stderr).toContain('Rolled back by an admin.')
  expect(server.to('GET /admin/rollouts')[2]?.url).toBe('/admin/rollouts?limit=1&model=llama')
})

it('passes on why a rollout is refused, and says when there is none', async () => {
  const server = await startApiServer({
    'POST /admin/rollouts': refusal(400, {
      message: 'it takes 4 GPUs, and a replica has 2.',
      code: 'invalid_value',
      param: 'to',
    }),
    'GET /admin/rollouts': json({ object: 'list', data: [] }),
  })
  onTestFinished(() => server.stop())
  const refused = await runCommand(['models', 'rollout', 'llama', '--to', 'b'], { url: server.url })
  expect(refused.code).not.toBe(0)
  expect(refused.stderr).toContain('it takes 4 GPUs, and a replica has 2.')
  const none = await runCommand(['models', 'promote', 'llama'], { url: server.url })
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("There is no rollout of 'llama'")])
})
