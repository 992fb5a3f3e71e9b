import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import { usageFailure } from './failure.ts'

/** A file's size in bytes; a usage Failure when there is no such file. */
export async function fileBytes(path: string): Promise<number> {
  const found = await stat(path).catch((err: NodeJS.ErrnoException) => {
    throw usageFailure(`Cannot read ${path} (${err.code ?? err.message}).`)
  })
  if (!found.isFile()) throw usageFailure(`${path} is not a file.`)
  return found.size
}

/** The multipart form that uploads a file, read from disk as it is sent and never whole in memory. */
export async function multipartUpload(options: {
  path: string
  purpose: string
  onBytes: (count: number) => void
}): Promise<{ body: Readable; headers: Record<string, string> }> {
  const { path, purpose, onBytes } = options
  const size = await fileBytes(path)
  const boundary = `forebay-${randomUUID()}`
  const filename = basename(path).replace(/["\r\n]/g, (char) => encodeURIComponent(char))
  const head = Buffer.from(
    `--${boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n${purpose}\r\n` +
      `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${filename}"\r\n` +
      'content-type: application/octet-stream\r\n\r\n',
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const parts = async function* () {
    yield head
    if (size > 0) {
      // What is appended meanwhile is not sent: the length is already promised.
      for await (const part of createReadStream(path, { end: size - 1, highWaterMark: 256 * 1024 })) {
        yield part as Buffer
        onBytes((part as Buffer).length)
      }
    }
    yield tail
  }
  return {
    body: Readable.from(parts(), { objectMode: false }),
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + size + tail.length),
    },
  }
}
