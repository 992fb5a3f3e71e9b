import { PassThrough, type Readable } from 'node:stream'

/**
 * Passes a store's stream on with its errors converted. A stream that closes without having ended fails too, so half
 * an object is never taken for a whole one. Destroying the result destroys the source, and so frees its connection.
 */
export function guardedStream(source: Readable, convert: (err: unknown) => Error): Readable {
  const out = new PassThrough({ highWaterMark: 1 << 18 })
  source.on('error', (err) => out.destroy(convert(err)))
  source.on('close', () => {
    if (!source.readableEnded) out.destroy(convert(new Error('premature close')))
  })
  out.on('close', () => source.destroy())
  return source.pipe(out)
}
