import { expect, it } from 'vitest'
import { openBlobs } from '../open-blobs.ts'
import type { Subject } from './describe-blob-store.ts'

/** What deletes promise: all that was named, and nothing beside it. */
export function testDeleting({ fresh, harness }: Subject): void {
  it('deletes an object, and does not mind that it is gone', async () => {
    const blobs = fresh()
    await blobs.put('t/1', Buffer.from('1'))
    await blobs.delete('t/1')
    await blobs.delete('t/1')
    expect(await blobs.size('t/1')).toBeUndefined()
  })

  it('deletes all below a prefix, page after page, and nothing beside it', async () => {
    const blobs = fresh()
    const keys = Array.from({ length: 1100 }, (_, i) => `t/${i % 7}/${i}`)
    for (let i = 0; i < keys.length; i += 50) {
      await Promise.all(keys.slice(i, i + 50).map((key) => blobs.put(key, Buffer.from(key))))
    }
    await blobs.put('tt/1', Buffer.from('1'))
    await blobs.put('u/t/1', Buffer.from('1'))
    await blobs.deletePrefix('t/')
    await blobs.deletePrefix('t/')
    const sizes = await Promise.all([...keys.slice(0, 20), ...keys.slice(-20)].map((key) => blobs.size(key)))
    expect(new Set(sizes)).toEqual(new Set([undefined]))
    expect([await blobs.size('tt/1'), await blobs.size('u/t/1')]).toEqual([1, 1])
  }, 60_000)

  it('refuses a prefix that could name more than a folder', async () => {
    const blobs = fresh()
    for (const prefix of ['', '/', 't', '../', 'a/../']) {
      await expect(blobs.deletePrefix(prefix)).rejects.toMatchObject({ code: 'invalid_request' })
    }
  })

  it('keeps two prefixes of one store apart', async () => {
    const [a, b] = [openBlobs({ url: harness().url('apart/a') }), openBlobs({ url: harness().url('apart/ab') })]
    await a.put('x/1', Buffer.from('a'))
    await b.put('x/1', Buffer.from('bb'))
    await a.deletePrefix('x/')
    expect([await a.size('x/1'), await b.size('x/1')]).toEqual([undefined, 2])
  })
}
