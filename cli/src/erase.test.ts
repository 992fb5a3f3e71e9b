import { expect, it, onTestFinished } from 'vitest'
import { json, startApiServer } from './testing/api-server.ts'
import { runCommand } from './testing/run-command.ts'

const erasure = {
  ...{ object: 'erasure', id: 'ers_1', tenant: 'acme', selector: 'batch', target: 'batch_1', status: 'completed' },
  ...{ waiting_for: null, files: 2, batches: 1, requests: 9, kept_files: ['file-in'], created_at: 1, completed_at: 2 },
}

it('erases only what is named and confirmed, waits until it is done, and says what stays', async () => {
  const server = await startApiServer({
    'DELETE /admin/tenants/acme/content': json({
      ...erasure,
      status: 'pending',
      waiting_for: '1 batch to come to an end',
    }),
    'POST /admin/tenants/acme/erasures': json({ ...erasure, selector: 'end_user', target: '9f86d081' }),
    'GET /admin/erasures/ers_1': json(erasure),
    'GET /admin/tenants/acme/erasures': json({ object: 'list', data: [erasure] }),
  })
  onTestFinished(() => server.stop())
  const { url } = server
  const command = ['erase', '--tenant', 'acme', '--batch', 'batch_1']
  expect(await runCommand(command, { url })).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
  expect(await runCommand(['erase', '--tenant', 'acme', '--yes'], { url })).toMatchObject({ code: 2 })
  expect(await runCommand([...command, '--all', '--yes'], { url })).toMatchObject({ code: 2 })
  expect(server.calls).toEqual([])
  const [done, shown] = await Promise.all([
    runCommand([...command, '--yes'], { url }),
    runCommand([...command, '--yes', '--json'], { url }),
  ])
  expect([shown.code, JSON.parse(shown.stdout)]).toEqual([0, erasure])
  expect(done.stderr).toContain('Waiting for 1 batch to come to an end.')
  expect(done.stderr).toContain('file-in')
  const asked = await runCommand([...command, '--yes', '--no-wait'], { url })
  expect(asked.stdout).toContain('waits for 1 batch')
  const whom = ['erase', '--tenant', 'acme', '--end-user', 'ada', '--yes']
  expect((await runCommand(whom, { url })).stdout).toMatch(/ers_1 +end_user 9f86d081 +completed/)
  expect(await runCommand([...whom, '--all'], { url })).toMatchObject({ code: 2 })
  expect((await runCommand(['erasures', '--tenant', 'acme'], { url })).stdout).toMatch(
    /ers_1 +batch batch_1 +completed/,
  )
})
