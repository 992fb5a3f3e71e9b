import type { IncomingMessage } from 'node:http'
import { Busboy, type BusboyFileStream } from '@fastify/busboy'
import { ForebayError, isForebayError } from '@forebay/kernel'

/** A multipart body after its last byte. */
export interface Upload<T> {
  fields: Map<string, string>
  /** What `store` answered for the part named `file`; undefined when there was none. */
  file: { filename: string; stored: T } | undefined
}

/**
 * Reads a multipart body without keeping it: the part named `file` streams into `store`, which sets the pace. The
 * fields may come before or after it. When the client goes away, the form is malformed or the file is larger than
 * `bytesMax`, the stream that `store` reads fails, so that nothing is kept, and this rejects with the reason.
 */
export async function receiveUpload<T>(options: {
  request: IncomingMessage
  bytesMax: number
  store: (source: AsyncIterable<Uint8Array>) => Promise<T>
}): Promise<Upload<T>> {
  const { request, bytesMax } = options
  const fields = new Map<string, string>()
  let part: BusboyFileStream | undefined
  let file: Promise<{ filename: string; stored: T }> | undefined

  await new Promise<void>((resolve, reject) => {
    const fail = (err: unknown) => {
      request.unpipe(form)
      // The rest of the body is read and dropped, so that the client gets to see the answer.
      request.resume()
      const reason = isForebayError(err) ? err : malformed(err)
      part?.destroy(reason)
      reject(reason)
    }
    let form: ReturnType<typeof open>
    try {
      form = open(request)
    } catch (err) {
      reject(malformed(err))
      return
    }
    form.on('field', (name, value, _nameCut, valueCut) => {
      if (valueCut) fail(new ForebayError('invalid_value', `The form field '${name}' is too long.`, { param: name }))
      else fields.set(name, value)
    })
    form.on('file', (name, stream, filename) => {
      if (name !== 'file' || file) return void stream.on('error', () => {}).resume()
      part = stream
      // Heard also when nobody reads any more: the form may end within the part after the store has let go.
      stream.on('error', fail)
      stream.once('limit', () => fail(tooLarge(bytesMax)))
      file = options.store(stream).then((stored) => ({ filename, stored }))
      file.catch(fail)
    })
    form.on('error', fail)
    form.on('finish', resolve)
    request.on('close', () => {
      if (!request.complete) fail(new ForebayError('client_closed', 'The upload was cut off before its end.'))
    })
    request.on('error', fail)
    request.pipe(form)
  }).catch(async (err: unknown) => {
    // Answer only when the store has let go of what it had written.
    await file?.catch(() => {})
    throw err
  })
  return { fields, file: await file }

  function open(from: IncomingMessage) {
    const contentType = from.headers['content-type'] ?? ''
    return new Busboy({
      headers: { ...from.headers, 'content-type': contentType },
      limits: { fields: 32, fieldSize: 65_536, files: 4, fileSize: bytesMax, headerPairs: 64, headerSize: 16_384 },
    })
  }
}

function malformed(cause: unknown): ForebayError {
  return new ForebayError(
    'invalid_request',
    "The multipart body cannot be read. Send 'multipart/form-data' with the parts 'file' and 'purpose'.",
    { cause },
  )
}

/** `payload_too_large` (413) for a file over the limit, in bytes. */
export function tooLarge(bytesMax: number): ForebayError {
  return new ForebayError(
    'payload_too_large',
    `The file is larger than ${bytesMax} bytes, the most this server takes.`,
    {
      param: 'file',
    },
  )
}
