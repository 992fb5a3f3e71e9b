import { expect, it } from 'vitest'
import type { Subject } from './describe-blob-store.ts'
import { pattern, readAll } from './samples.ts'

/** What reads promise, whole and by range. */
export function testReading({ fresh }: Subject): void {
  it('reads exactly the range asked for, at both ends and within', async () => {
    const blobs = fresh()
    const bytes = pattern(300_000)
    await blobs.put('x', bytes)
    for (const [start, end] of [
      [0, 1],
      [999, 1001],
      [65_000, 200_000],
      [299_999, 300_000],
      [0, 300_000],
    ] as const) {
      expect((await blobs.readRange('x', start, end)).equals(bytes.subarray(start, end))).toBe(true)
      expect((await readAll(blobs, 'x', { start, end })).equals(bytes.subarray(start, end))).toBe(true)
    }
  })

  it('reads an empty range as no bytes', async () => {
    const blobs = fresh()
    await blobs.put('x', Buffer.from('abc'))
    await blobs.put('empty', Buffer.alloc(0))
    expect(await blobs.readRange('x', 2, 2)).toEqual(Buffer.alloc(0))
    expect(await blobs.readRange('empty', 0, 0)).toEqual(Buffer.alloc(0))
    expect(await readAll(blobs, 'x', { start: 2, end: 2 })).toEqual(Buffer.alloc(0))
    expect(await readAll(blobs, 'empty')).toEqual(Buffer.alloc(0))
  })

  it('streams what there is of a range past the end', async () => {
    const blobs = fresh()
    await blobs.put('x', Buffer.from('abc'))
    expect(String(await readAll(blobs, 'x', { start: 1, end: 10 }))).toBe('bc')
    expect(String(await readAll(blobs, 'x', { start: 7, end: 10 }))).toBe('')
  })

  it('says not_found for a missing object before the first byte, and for one too short for the range', async () => {
    const blobs = fresh()
    await blobs.put('x', Buffer.from('abc'))
    await expect(blobs.read('nope')).rejects.toMatchObject({ code: 'not_found' })
    await expect(blobs.read('nope', { start: 0, end: 1 })).rejects.toMatchObject({ code: 'not_found' })
    await expect(blobs.readRange('nope', 0, 1)).rejects.toMatchObject({ code: 'not_found' })
    await expect(blobs.readRange('x', 0, 4)).rejects.toMatchObject({ code: 'not_found' })
    await expect(blobs.readRange('x', 3, 4)).rejects.toMatchObject({ code: 'not_found' })
    expect(await blobs.size('nope')).toBeUndefined()
  })

  it('lets a reader leave half way, many times over', async () => {
    const blobs = fresh()
    await blobs.put('x', pattern(4 * 1024 * 1024))
    for (let i = 0; i < 60; i++) {
      const stream = await blobs.read('x')
      for await (const piece of stream) {
        expect(piece.length).toBeGreaterThan(0)
        break
      }
    }
    expect(await blobs.size('x')).toBe(4 * 1024 * 1024)
  })
}
