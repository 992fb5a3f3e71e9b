import type { PieceUpload } from '@forebay/blobs'
import { backoffMs, type Clock } from '@forebay/kernel'
import { faultOfGcs } from './fault-of-gcs.ts'
import type { GcsRequest } from './gcs-request.ts'

const triesMax = 4

/**
 * A resumable upload: pieces in order, the object appearing with the last. After a failure the session is asked how far
 * it came, and goes on from there.
 */
export async function startSession(options: { request: GcsRequest; clock: Clock; url: string }): Promise<PieceUpload> {
  const { request, clock } = options
  const started = await request({ method: 'POST', url: options.url })
  const session = started.headers.get('location')
  if (!session) throw new Error('Google Cloud Storage gave no address for the upload.')

  // Undefined when the object is complete, else how many of its bytes the session holds.
  const tell = async (range: string, bytes: Uint8Array): Promise<number | undefined> => {
    const answer = await request({
      method: 'PUT',
      url: session,
      headers: { 'content-range': `bytes ${range}` },
      data: bytes,
      redirect: 'manual',
      retryConfig: { retry: 0, noResponseRetries: 0 },
      validateStatus: (status) => status === 308 || (status >= 200 && status < 300),
    })
    if (answer.status !== 308) return undefined
    return Number(/^bytes=0-(\d+)$/.exec(answer.headers.get('range') ?? '')?.[1] ?? -1) + 1
  }

  return {
    parallel: 1,
    send: async ({ offset, bytes, last }) => {
      const end = offset + bytes.byteLength
      const total = last ? String(end) : '*'
      let held = offset
      let lost = false
      for (let tries = 1; tries <= triesMax; ) {
        const before = held
        try {
          const now =
            lost || held === end
              ? await tell(`*/${total}`, Buffer.alloc(0))
              : await tell(`${held}-${end - 1}/${total}`, bytes.subarray(held - offset))
          if (now === undefined || (now === end && !last)) return
          if (now < offset) throw new Error('Google Cloud Storage lost bytes that it had acknowledged.')
          held = now
          lost = false
          if (held === before) tries += 1
        } catch (err) {
          if (tries === triesMax || faultOfGcs(err)?.kind !== 'busy') throw err
          await clock.sleep(backoffMs(tries, { firstMs: 500, maxMs: 5_000 }))
          tries += 1
          lost = true
        }
      }
      throw new Error('Google Cloud Storage takes no more bytes of the upload.')
    },
    complete: async () => {},
    abort: async () => {
      // 499 is how a session says that it is given up.
      await request({ method: 'DELETE', url: session, validateStatus: (status) => status === 499 || status < 300 })
    },
  }
}
