import { afterEach, expect, it } from 'vitest'
import { openBlobs } from '../open-blobs.ts'
import type { BlobHarness, Subject } from './describe-blob-store.ts'
import { pattern, readAll, streamed } from './samples.ts'

const mebibyte = 1024 * 1024
const unavailable = { code: 'unavailable', retryable: true }

/** What a caller sees when the store, or the way to it, fails. */
export function testFaults({ fresh, harness }: Subject): void {
  const remote = (): NonNullable<BlobHarness['remote']> => {
    const found = harness().remote
    if (!found) throw new Error('The harness promised a network.')
    return found
  }
  afterEach(() => remote().link.heal())

  it('shows no object when the connection is cut half way through a put', async () => {
    const blobs = fresh()
    remote().link.cutAfter('to store', 10 * mebibyte)
    await expect(blobs.put('x', streamed(pattern(20 * mebibyte)))).rejects.toMatchObject(unavailable)
    remote().link.heal()
    expect(await blobs.size('x')).toBeUndefined()
  })

  it.each([1, 10])('finishes a put whose connection breaks once, %i MiB in', async (at) => {
    const blobs = fresh()
    remote().link.breakAfter('to store', at * mebibyte)
    await blobs.put('x', streamed(pattern(20 * mebibyte)))
    expect((await readAll(blobs, 'x')).equals(pattern(20 * mebibyte))).toBe(true)
  })

  it('fails a read that is cut half way, and never ends it as if it were whole', async () => {
    const blobs = fresh()
    await blobs.put('x', pattern(4 * mebibyte))
    remote().link.cutAfter('from store', 2 * mebibyte)
    await expect(readAll(blobs, 'x')).rejects.toMatchObject(unavailable)
    remote().link.heal()
    remote().link.cutAfter('from store', 2 * mebibyte)
    await expect(blobs.readRange('x', 0, 4 * mebibyte)).rejects.toMatchObject(unavailable)
  })

  it('says unavailable, to be retried, when the store cannot be reached', async () => {
    const blobs = fresh()
    remote().link.cutAfter('to store', 0)
    await expect(blobs.put('x', Buffer.from('1'))).rejects.toMatchObject(unavailable)
    await expect(blobs.size('x')).rejects.toMatchObject(unavailable)
    await expect(blobs.read('x')).rejects.toMatchObject(unavailable)
    await expect(blobs.check()).rejects.toMatchObject(unavailable)
  })

  it.each([429, 503])('says unavailable, to be retried, when the store answers %i', async (status) => {
    const blobs = fresh()
    remote().link.answer(status)
    await expect(blobs.put('x', Buffer.from('1'))).rejects.toMatchObject(unavailable)
    await expect(blobs.delete('x')).rejects.toMatchObject(unavailable)
    await expect(blobs.readRange('x', 0, 1)).rejects.toMatchObject(unavailable)
  })

  it('names the permission that is missing when it checks', async () => {
    const blobs = fresh()
    await blobs.check()
    remote().link.answer(403)
    await expect(blobs.check()).rejects.toMatchObject({
      code: 'permission_denied',
      message: expect.stringMatching(/may not write in .+\. Grant them .+/),
    })
    await expect(blobs.put('x', Buffer.from('1'))).rejects.toMatchObject({ code: 'permission_denied' })
  })

  it('names a bucket that is not there when it checks', async () => {
    const { url, name } = remote().absent
    await expect(openBlobs({ url }).check()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining(name),
    })
  })
}
