import { randomBytes } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { access, type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Readable } from 'node:stream'
import { ForebayError } from '@forebay/kernel'
import type { BlobStore } from './port.ts'

/**
 * Blobs as files below a folder, for one host. A put writes a temporary file beside `root`'s objects, flushes it to
 * disk and renames it, so a reader never sees half an object and a crash leaves only a temporary file, which the next
 * `check` sweeps.
 */
export function openFolderBlobs(options: { root: string }): BlobStore {
  const root = resolve(options.root)
  const incoming = join(root, '.incoming')

  const pathOf = (key: string): string => {
    const path = resolve(root, key)
    if (!path.startsWith(root + sep) || path.startsWith(incoming + sep) || key.includes('\0')) {
      throw new ForebayError('invalid_request', `The blob key '${key}' is not allowed.`)
    }
    return path
  }

  return {
    put: async (key, source) => {
      const target = pathOf(key)
      const temporary = join(incoming, `${process.pid}-${randomBytes(8).toString('hex')}`)
      const file = await inFolder(incoming, () => open(temporary, 'wx', 0o600))
      try {
        const bytes = await writeAll(file, source)
        await file.datasync()
        await file.close()
        await inFolder(dirname(target), () => rename(temporary, target))
        return { bytes }
      } catch (err) {
        await file.close().catch(() => {})
        await unlink(temporary).catch(() => {})
        throw diskError(err, key)
      }
    },
    read: async (key, range): Promise<Readable> => {
      const file = await open(pathOf(key), 'r').catch((err: unknown) => {
        throw diskError(err, key)
      })
      if (range && range.end <= range.start) {
        await file.close()
        return (await import('node:stream')).Readable.from([])
      }
      return createReadStream('', {
        fd: file,
        ...(range ? { start: range.start, end: range.end - 1 } : {}),
        highWaterMark: 1 << 18,
      })
    },
    readRange: async (key, start, end) => {
      const file = await open(pathOf(key), 'r').catch((err: unknown) => {
        throw diskError(err, key)
      })
      try {
        const buffer = Buffer.allocUnsafe(end - start)
        let done = 0
        while (done < buffer.length) {
          const { bytesRead } = await file.read(buffer, done, buffer.length - done, start + done)
          if (bytesRead === 0) throw new ForebayError('not_found', `The blob '${key}' ends before byte ${end}.`)
          done += bytesRead
        }
        return buffer
      } finally {
        await file.close()
      }
    },
    size: async (key) => {
      try {
        return (await stat(pathOf(key))).size
      } catch (err) {
        if (isCode(err, 'ENOENT')) return undefined
        throw err
      }
    },
    delete: async (key) => {
      await rm(pathOf(key), { force: true })
    },
    deletePrefix: async (prefix) => {
      if (!prefix.endsWith('/'))
        throw new ForebayError('invalid_request', `The blob prefix '${prefix}' must end in '/'.`)
      await rm(pathOf(prefix.slice(0, -1)), { recursive: true, force: true })
    },
    check: async () => {
      try {
        await mkdir(incoming, { recursive: true })
        await access(root, constants.R_OK | constants.W_OK)
        await sweep(incoming)
      } catch (err) {
        throw new ForebayError(
          'config_invalid',
          `BLOB_URL: the folder ${root} cannot be written to (${String((err as NodeJS.ErrnoException).code ?? err)}). Make it writable for this user or name another.`,
          { cause: err },
        )
      }
    },
  }
}

async function writeAll(file: FileHandle, source: AsyncIterable<Uint8Array> | Uint8Array): Promise<number> {
  if (source instanceof Uint8Array) {
    await file.writeFile(source)
    return source.byteLength
  }
  let bytes = 0
  for await (const piece of source) {
    let written = 0
    while (written < piece.byteLength) {
      const result = await file.write(piece, written, piece.byteLength - written)
      written += result.bytesWritten
    }
    bytes += piece.byteLength
  }
  return bytes
}

// A temporary file of a process that is gone (or a day old, should its pid have been taken again) was never acknowledged.
async function sweep(incoming: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name)
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (!isAlive(Number(name.split('-')[0])) || age > 86_400_000) await rm(path, { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return isCode(err, 'EPERM')
  }
}

function isCode(err: unknown, code: string): boolean {
  return err instanceof Error && 'code' in err && err.code === code
}

function diskError(err: unknown, key: string): unknown {
  if (isCode(err, 'ENOENT')) return new ForebayError('not_found', `There is no blob '${key}'.`, { cause: err })
  if (isCode(err, 'ENOSPC') || isCode(err, 'EDQUOT')) {
    return new ForebayError('unavailable', 'The blob store is full. Free some space, then retry.', { cause: err })
  }
  return err
}

/** Does what needs the folder, which is made only when it turns out to be missing: most often it is there. */
async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err
    await mkdir(folder, { recursive: true })
    return work()
  }
}
