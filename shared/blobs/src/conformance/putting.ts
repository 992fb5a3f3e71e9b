import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import type { Subject } from './describe-blob-store.ts'
import { pattern, readAll, streamed } from './samples.ts'

const mebibyte = 1024 * 1024
const bigPut = fileURLToPath(new URL('./put-big.ts', import.meta.url))

/** What a put promises: whole or not at all, and nothing left behind. */
export function testPutting({ fresh, harness }: Subject): void {
  it.each([0, 1, 8 * mebibyte - 1, 8 * mebibyte, 8 * mebibyte + 1, 20 * mebibyte])(
    'gives back the very bytes that were put: %i of them, streamed or in one buffer',
    async (size) => {
      const blobs = fresh()
      const bytes = pattern(size)
      expect(await blobs.put('a/streamed', streamed(bytes))).toEqual({ bytes: size })
      expect(await blobs.put('a/buffer', bytes)).toEqual({ bytes: size })
      for (const key of ['a/streamed', 'a/buffer']) {
        expect(await blobs.size(key)).toBe(size)
        expect((await readAll(blobs, key)).equals(bytes)).toBe(true)
      }
      expect(await harness().leftovers()).toBe(0)
    },
  )

  it.each([1000, 20 * mebibyte])('leaves nothing behind when the source fails after %i bytes', async (size) => {
    const blobs = fresh()
    const cut = new Error('the client hung up')
    await expect(blobs.put('x', streamed(pattern(size), cut))).rejects.toBe(cut)
    expect(await blobs.size('x')).toBeUndefined()
    await expect(blobs.read('x')).rejects.toMatchObject({ code: 'not_found' })
    expect(await harness().leftovers()).toBe(0)
  })

  it.each([
    { old: 3, size: 1000 },
    { old: 9 * mebibyte, size: 20 * mebibyte },
  ])('keeps the old object of $old bytes when a replacement fails after $size bytes', async ({ old, size }) => {
    const blobs = fresh()
    await blobs.put('x', streamed(pattern(old)))
    await expect(blobs.put('x', streamed(Buffer.alloc(size), new Error('cut')))).rejects.toThrow('cut')
    expect((await readAll(blobs, 'x')).equals(pattern(old))).toBe(true)
    expect(await harness().leftovers()).toBe(0)
  })

  it('replaces an object, a longer one and one in pieces too', async () => {
    const blobs = fresh()
    for (const size of [5000, 10, 9 * mebibyte, 11]) {
      await blobs.put('x', streamed(pattern(size)))
      expect((await readAll(blobs, 'x')).equals(pattern(size))).toBe(true)
    }
  })

  it('shows nothing of an object until its last byte is in', async () => {
    const blobs = fresh()
    const seen: unknown[] = []
    await blobs.put(
      'x',
      (async function* () {
        for (let i = 0; i < 10; i++) {
          yield Buffer.alloc(2 * mebibyte, i)
          seen.push(await blobs.size('x'))
        }
      })(),
    )
    expect(seen).toEqual(Array(10).fill(undefined))
    expect(await blobs.size('x')).toBe(20 * mebibyte)
  })

  it('needs no more memory for a larger object', async () => {
    const size = 200 * mebibyte
    const args = ['--expose-gc', '--import', 'tsx', bigPut, harness().url('big'), 'x', String(size)]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    const { bytes, grownBytes } = JSON.parse(stdout)
    expect(bytes).toBe(size)
    expect(grownBytes).toBeLessThan(64 * mebibyte)
  }, 60_000)
}
