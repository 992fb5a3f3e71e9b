import { expect, it } from 'vitest'
import type { Subject } from './describe-blob-store.ts'

const odd = [
  'with space',
  'plus+and&equals=#hash?question',
  'percent%2Fencoded%',
  'quote\'s "double" (round) [square] {curly}',
  'über/日本語/🚀',
  'semi;colon:comma,at@dollar$',
  'back\\slash~tilde!*|^`<>',
  'dots.../.hidden/..double',
]

/** What becomes of keys: any characters, but never out of the root. */
export function testKeys({ fresh }: Subject): void {
  it.each(odd)('keeps the key %j as it is', async (key) => {
    const blobs = fresh()
    await blobs.put(key, Buffer.from(key))
    expect(String(await blobs.readRange(key, 0, Buffer.byteLength(key)))).toBe(key)
    expect(await blobs.size(key)).toBe(Buffer.byteLength(key))
    await blobs.delete(key)
    expect(await blobs.size(key)).toBeUndefined()
    await blobs.put(`${key}/below`, Buffer.from('1'))
    await blobs.deletePrefix(`${key}/`)
    expect(await blobs.size(`${key}/below`)).toBeUndefined()
  })

  it('never lets a key leave its root', async () => {
    const blobs = fresh()
    for (const key of ['', '..', '../x', '/etc/passwd', 'a/../../x', 'a\0b']) {
      await expect(blobs.put(key, Buffer.from('x'))).rejects.toMatchObject({ code: 'invalid_request' })
      await expect(blobs.size(key)).rejects.toMatchObject({ code: 'invalid_request' })
    }
  })
}
