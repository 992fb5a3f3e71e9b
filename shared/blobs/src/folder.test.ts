import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFolderBlobs } from './folder.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'forebay-blobs-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function* pieces(count: number, fail = false) {
  for (let i = 0; i < count; i++) yield Buffer.alloc(1000, i)
  if (fail) throw new Error('cut')
}

async function collect(stream: AsyncIterable<Buffer>) {
  const all: Buffer[] = []
  for await (const piece of stream) all.push(piece)
  return Buffer.concat(all)
}

describe('folder blobs', () => {
  it('gives back the bytes that were streamed in, whole and by range', async () => {
    const blobs = openFolderBlobs({ root })
    expect(await blobs.put('a/b', pieces(300))).toEqual({ bytes: 300_000 })
    expect(await blobs.size('a/b')).toBe(300_000)
    expect((await collect(await blobs.read('a/b'))).length).toBe(300_000)
    expect(await collect(await blobs.read('a/b', { start: 999, end: 1001 }))).toEqual(Buffer.from([0, 1]))
    expect(await blobs.readRange('a/b', 999, 1001)).toEqual(Buffer.from([0, 1]))
  })

  it('leaves nothing behind when the source fails half way', async () => {
    const blobs = openFolderBlobs({ root })
    await expect(blobs.put('x', pieces(3, true))).rejects.toThrow('cut')
    expect(await blobs.size('x')).toBeUndefined()
    expect(await readdir(join(root, '.incoming'))).toEqual([])
  })

  it('keeps the old object when a replacement fails', async () => {
    const blobs = openFolderBlobs({ root })
    await blobs.put('x', Buffer.from('old'))
    await expect(blobs.put('x', pieces(3, true))).rejects.toThrow('cut')
    expect(String(await blobs.readRange('x', 0, 3))).toBe('old')
  })

  it('names a missing object and a range past the end', async () => {
    const blobs = openFolderBlobs({ root })
    await blobs.put('x', Buffer.from('abc'))
    await expect(blobs.read('nope')).rejects.toMatchObject({ code: 'not_found' })
    await expect(blobs.readRange('x', 0, 4)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('never lets a key leave its root', async () => {
    const blobs = openFolderBlobs({ root })
    for (const key of ['../x', '/etc/passwd', 'a/../../x', '.incoming/x', 'a\0b']) {
      await expect(blobs.put(key, Buffer.from('x'))).rejects.toMatchObject({ code: 'invalid_request' })
    }
  })

  it('deletes one object, or all below a prefix, and does not mind if they are gone', async () => {
    const blobs = openFolderBlobs({ root })
    await blobs.put('t/1', Buffer.from('1'))
    await blobs.put('t/2', Buffer.from('2'))
    await blobs.delete('t/1')
    await blobs.delete('t/1')
    expect(await blobs.size('t/1')).toBeUndefined()
    await blobs.deletePrefix('t/')
    await blobs.deletePrefix('t/')
    expect(await blobs.size('t/2')).toBeUndefined()
  })
})
