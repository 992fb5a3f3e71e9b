import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { ForebayError } from '@forebay/kernel'
import { blobError, checkError } from './blob-error.ts'
import { guardedStream } from './guarded-stream.ts'
import type { ObjectBackend } from './object-backend.ts'
import type { BlobStore } from './port.ts'
import { putPieces } from './put-pieces.ts'

/** Makes the port of an object store's backend: keys below `prefix`, our errors, whole objects, bounded memory. */
export function makeObjectStore(options: { backend: ObjectBackend; prefix: string }): BlobStore {
  const { backend } = options
  const root = options.prefix === '' ? '' : `${options.prefix.replace(/^\/+|\/+$/g, '')}/`

  const nameOf = (key: string): string => {
    // An empty or dotted step would be folded away on its way through a URL, and the key leave its root.
    if (key.split('/').some((step) => step === '' || step === '.' || step === '..') || key.includes('\0')) {
      throw new ForebayError('invalid_request', `The blob key '${key}' is not allowed.`)
    }
    return root + key
  }
  const call = async <T>(key: string, work: (name: string) => Promise<T>): Promise<T> => {
    const name = nameOf(key)
    try {
      return await work(name)
    } catch (err) {
      throw blobError(backend, err, key)
    }
  }
  const isMissing = (err: unknown) => backend.faultOf(err)?.kind === 'missing'
  const sizeOf = (key: string) => call(key, (name) => backend.size(name))

  return {
    put: async (key, source) =>
      putPieces({ backend, key: nameOf(key), source, convert: (err) => blobError(backend, err, key) }),
    read: async (key, range) => {
      if (range && range.end <= range.start) {
        await sizeOf(key)
        return Readable.from([])
      }
      return call(key, async (name) => {
        try {
          return guardedStream(await backend.open(name, range), (err) => blobError(backend, err, key))
        } catch (err) {
          if (backend.faultOf(err)?.kind === 'past_end') return Readable.from([])
          throw err
        }
      })
    },
    readRange: async (key, start, end) => {
      if (end <= start) {
        await sizeOf(key)
        return Buffer.alloc(0)
      }
      return call(key, async (name) => {
        const bytes = Buffer.allocUnsafe(end - start)
        let done = 0
        const stream = guardedStream(await backend.open(name, { start, end }), (err) => blobError(backend, err, key))
        for await (const piece of stream as AsyncIterable<Buffer>) done += piece.copy(bytes, done)
        if (done < bytes.length) throw new ForebayError('not_found', `The blob '${key}' ends before byte ${end}.`)
        return bytes
      })
    },
    size: (key) =>
      call(key, async (name) => {
        try {
          return await backend.size(name)
        } catch (err) {
          if (isMissing(err)) return undefined
          throw err
        }
      }),
    delete: (key) =>
      call(key, async (name) => {
        try {
          await backend.delete(name)
        } catch (err) {
          if (!isMissing(err)) throw err
        }
      }),
    deletePrefix: async (prefix) => {
      if (!prefix.endsWith('/'))
        throw new ForebayError('invalid_request', `The blob prefix '${prefix}' must end in '/'.`)
      await call(prefix.slice(0, -1), async (name) => {
        for await (const names of backend.list(`${name}/`)) if (names.length > 0) await backend.deletePage(names)
      })
    },
    check: () => checkAccess(backend, `${root}.check/${randomUUID()}`),
  }
}

// Only trying tells: a store answers for a bucket's existence, not for what these credentials may do in it.
async function checkAccess(backend: ObjectBackend, probe: string): Promise<void> {
  const mayI = async (need: keyof ObjectBackend['permissions'], work: () => Promise<unknown>): Promise<void> => {
    try {
      await work()
    } catch (err) {
      throw checkError(backend, err, need)
    }
  }
  await mayI('write', () => backend.putWhole(probe, Buffer.from('forebay')))
  try {
    await mayI('read', async () => buffer(await backend.open(probe)))
    await mayI('list', () => backend.list(probe)[Symbol.asyncIterator]().next())
  } finally {
    await mayI('delete', () => backend.delete(probe))
  }
}
