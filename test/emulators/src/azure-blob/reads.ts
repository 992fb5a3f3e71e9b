import { type Answer, type Call, pageOf, rangeOf } from '../http-server.ts'
import { AzureFault, type Container, type StoredBlob } from './stored-blob.ts'

/** Get Blob and Get Blob Properties. */
export function getBlob(blob: StoredBlob, call: Call): Answer {
  const range = call.headers['x-ms-range'] ?? call.headers.range
  const part = rangeOf(typeof range === 'string' ? range : undefined, blob.bytes)
  if (part.status === 416) throw new AzureFault(416, 'InvalidRange')
  return {
    ...part,
    headers: { ...part.headers, ...blob.metadata, etag: blob.etag, 'x-ms-blob-type': 'BlockBlob' },
  }
}

/** Get Block List, of the committed ones. */
export function getBlockList(blob: StoredBlob): Answer {
  const blocks = [...blob.blocks].map(([id, { length }]) => `<Block><Name>${id}</Name><Size>${length}</Size></Block>`)
  const body = `<?xml version="1.0" encoding="utf-8"?><BlockList><CommittedBlocks>${blocks.join('')}</CommittedBlocks></BlockList>`
  return { status: 200, headers: { 'content-type': 'application/xml', etag: blob.etag }, body }
}

/** List Blobs, flat. */
export function listBlobs(container: Container, call: Call): Answer {
  const { keys, more } = pageOf(container.blobs, {
    prefix: call.query.get('prefix') ?? '',
    after: Buffer.from(call.query.get('marker') ?? '', 'base64url').toString(),
    size: Number(call.query.get('maxresults') ?? 5000),
  })
  const marker = more ? Buffer.from(keys.at(-1) ?? '').toString('base64url') : ''
  const blobs = keys.map((key) => `<Blob><Name>${escapeXml(key)}</Name><Properties/></Blob>`)
  const body = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>${blobs.join('')}</Blobs><NextMarker>${marker}</NextMarker></EnumerationResults>`
  return { status: 200, headers: { 'content-type': 'application/xml' }, body }
}

// Only the named entities, as Azure sends them: the SDK's reader knows no numeric ones.
function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
