import { toFile } from 'openai'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
let admin: string
beforeAll(async () => {
  harness = await startHarness()
  admin = await harness.newKey('ops', 'admin')
})
afterAll(() => harness.stop())

const erase = (tenant: string, query: string, key = admin) =>
  harness.call('DELETE', `/admin/tenants/${tenant}/content${query}`, key)

it('asks for an erasure once, shows it, and lets no new batch read the file', async () => {
  const sdk = await harness.sdk('acme')
  const { id } = await sdk.files.create({ purpose: 'batch', file: await toFile(Buffer.from('{}\n'), 'in.jsonl') })
  const [uploader] = await harness.db.query<{ api_key_id: string }>('SELECT api_key_id FROM files WHERE id = $1', [id])
  expect(uploader?.api_key_id).toMatch(/^key_/)
  const asked = await erase('acme', `?file=${id}`)
  expect(asked).toMatchObject({
    status: 202,
    json: { object: 'erasure', tenant: 'acme', selector: 'file', target: id, status: 'pending', completed_at: null },
  })
  expect((await erase('acme', `?file=${id}`)).json['id']).toBe(asked.json['id'])
  expect((await erase('acme', `?key=${uploader?.api_key_id}`)).json).toMatchObject({ selector: 'key' })
  expect((await erase('acme', '?all=true')).json).toMatchObject({ selector: 'tenant', target: 'acme' })
  const shown = await harness.call('GET', `/admin/erasures/${asked.json['id']}`, admin)
  expect(shown.json).toMatchObject({ id: asked.json['id'], files: 0 })
  const list = await harness.call('GET', '/admin/tenants/acme/erasures', admin)
  expect(list.json['data']).toHaveLength(3)
  const batch = { input_file_id: id, endpoint: '/v1/embeddings', completion_window: '24h' } as const
  await expect(sdk.batches.create(batch)).rejects.toMatchObject({ status: 400, param: 'input_file_id' })
})

it('refuses what is not named, not there or of another tenant, and who may not', async () => {
  const user = await harness.newKey('acme')
  const theirs = await harness.sdk('theirs')
  const { id } = await theirs.files.create({ purpose: 'batch', file: await toFile(Buffer.from('{}\n'), 'in.jsonl') })
  const answers = await Promise.all([
    erase('acme', '?all=true', user),
    erase('acme', ''),
    erase('acme', `?file=${id}&all=true`),
    erase('acme', `?file=${id}`),
    erase('acme', '?user=ada'),
    erase('nobody', '?all=true'),
    harness.call('GET', '/admin/erasures/ers_none', admin),
  ])
  expect(answers.map(({ status }) => status)).toEqual([403, 400, 400, 404, 400, 404, 404])
})

it('asks for an end user’s erasure by a hash, and says of whom nowhere', async () => {
  const whom = { end_user: 'kim@example.com' }
  const ask = (tenant: string, body: object, key = admin) =>
    harness.call('POST', `/admin/tenants/${tenant}/erasures`, key, body)
  const [first, again, other, nobody, refused] = await Promise.all([
    ask('acme', whom),
    ask('acme', whom),
    ask('theirs', whom),
    ask('acme', { end_user: '' }),
    ask('acme', whom, await harness.newKey('acme')),
  ])
  expect([first, again, other, nobody, refused].map(({ status }) => status)).toEqual([202, 202, 202, 400, 403])
  expect(first.json).toMatchObject({ selector: 'end_user', target: expect.stringMatching(/^[0-9a-f]{32}$/) })
  expect(again.json['id']).toBe(first.json['id'])
  expect(other.json['target']).not.toBe(first.json['target'])
  expect(JSON.stringify(await harness.db.query('SELECT * FROM erasures'))).not.toContain('kim')
})
