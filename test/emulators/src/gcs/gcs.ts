import type { BlobEmulator } from '../blob-emulator.ts'
import { type Answer, type Call, pageOf, rangeOf, serveHttp } from '../http-server.ts'

interface Session {
  key: string
  chunks: Buffer[]
  stored: number
}

const granularity = 256 * 1024

/**
 * The part of the Google Cloud Storage JSON API that moves objects: media and resumable uploads, ranged downloads,
 * metadata, pages of a list, deletes. Credentials are not checked.
 */
export async function startGcsEmulator(options: { buckets: readonly string[] }): Promise<BlobEmulator> {
  const buckets = new Map(options.buckets.map((name) => [name, new Map<string, Buffer>()]))
  const sessions = new Map<string, Session & { objects: Map<string, Buffer> }>()
  let sessionCount = 0

  const handle = (call: Call): Answer => {
    const [, upload, bucket, key] = /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/.exec(call.path) ?? []
    const sessionId = call.query.get('upload_id')
    if (sessionId !== null) {
      const session = sessions.get(sessionId)
      if (!session) return fault(404, 'No such upload session.')
      if (call.method === 'DELETE') {
        sessions.delete(sessionId)
        return { status: 499 }
      }
      return append(session, call, () => {
        sessions.delete(sessionId)
        session.objects.set(session.key, Buffer.concat(session.chunks))
      })
    }
    const objects = buckets.get(decodeURIComponent(bucket ?? ''))
    if (!objects) return fault(404, 'The specified bucket does not exist.')
    if (upload) {
      const name = call.query.get('name') ?? ''
      if (call.query.get('uploadType') === 'media') {
        objects.set(name, call.body)
        return json({ name, size: String(call.body.length) })
      }
      const id = `session-${++sessionCount}`
      sessions.set(id, { key: name, chunks: [], stored: 0, objects })
      const query = new URLSearchParams({ uploadType: 'resumable', name, upload_id: id })
      return { status: 200, headers: { location: `http://${call.headers.host}${call.path}?${query}` } }
    }
    if (key === undefined) return list(objects, call)
    return one(objects, decodeURIComponent(key), call)
  }

  const server = await serveHttp({ handle })
  return { port: server.port, unfinished: () => sessions.size, stop: server.stop }
}

function append(session: Session, call: Call, complete: () => void): Answer {
  const [, from, to, total] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(call.headers['content-range'] ?? '') ?? []
  if (total === undefined) return fault(400, 'Invalid Content-Range.')
  if (from !== undefined) {
    if (Number(to) - Number(from) + 1 !== call.body.length) return fault(400, 'Content-Range and body differ.')
    if (Number(from) !== session.stored) return fault(503, 'The chunk does not start where the last one ended.')
    if (total === '*' && call.body.length % granularity !== 0) return fault(400, 'Not a multiple of 256 KiB.')
    session.chunks.push(call.body)
    session.stored += call.body.length
  }
  if (total !== '*' && Number(total) === session.stored) {
    complete()
    return json({ name: session.key, size: total })
  }
  const headers = session.stored > 0 ? { range: `bytes=0-${session.stored - 1}` } : {}
  return { status: 308, headers }
}

function one(objects: Map<string, Buffer>, key: string, call: Call): Answer {
  const object = objects.get(key)
  if (!object) return fault(404, `No such object: ${key}`)
  if (call.method === 'DELETE') {
    objects.delete(key)
    return { status: 204 }
  }
  if (call.query.get('alt') === 'media') return rangeOf(call.headers.range, object)
  return json({ name: key, size: String(object.length) })
}

function list(objects: Map<string, Buffer>, call: Call): Answer {
  const { keys, more } = pageOf(objects, {
    prefix: call.query.get('prefix') ?? '',
    after: Buffer.from(call.query.get('pageToken') ?? '', 'base64url').toString(),
    size: Number(call.query.get('maxResults') ?? 1000),
  })
  const last = keys.at(-1)
  return json({
    ...(keys.length > 0 ? { items: keys.map((name) => ({ name })) } : {}),
    ...(more && last !== undefined ? { nextPageToken: Buffer.from(last).toString('base64url') } : {}),
  })
}

function json(value: unknown): Answer {
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

function fault(status: number, message: string): Answer {
  return { ...json({ error: { code: status, message, errors: [{ message, domain: 'global' }] } }), status }
}
