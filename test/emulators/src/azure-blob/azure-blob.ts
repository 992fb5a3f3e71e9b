import type { BlobEmulator } from '../blob-emulator.ts'
import { type Answer, type Call, serveHttp } from '../http-server.ts'
import { getBlob, getBlockList, listBlobs } from './reads.ts'
import { AzureFault, type Container, type StoredBlob } from './stored-blob.ts'

/**
 * The part of the Azure Blob REST API that moves block blobs: Put Blob, Put Block, Put Block List, Get Block List,
 * Get Blob by range, Get Blob Properties, Delete Blob, List Blobs. Requests must be signed with the account's shared
 * key; the signature itself is not checked.
 */
export async function startAzureBlobEmulator(options: {
  account: string
  containers: readonly string[]
}): Promise<BlobEmulator> {
  const { account } = options
  const containers = new Map<string, Container>(
    options.containers.map((name) => [name, { blobs: new Map(), staged: new Map() }]),
  )
  let etags = 0

  const route = (call: Call): Answer => {
    if (!call.headers.authorization?.startsWith(`SharedKey ${account}:`))
      throw new AzureFault(403, 'AuthenticationFailed')
    const [, owner, name = '', ...rest] = call.path.split('/')
    const container = owner === account ? containers.get(decodeURIComponent(name)) : undefined
    if (!container) throw new AzureFault(404, 'ContainerNotFound')
    const key = decodeURIComponent(rest.join('/'))
    if (key === '') return listBlobs(container, call)
    const comp = call.query.get('comp')
    if (call.method === 'PUT' && comp === 'block') return putBlock(container, key, call)
    checkConditions(container.blobs.get(key), call)
    if (call.method === 'PUT') {
      const blob = comp === 'blocklist' ? fromBlocks(container, key, call) : { bytes: call.body, blocks: new Map() }
      const etag = `"0x${(++etags).toString(16)}"`
      container.blobs.set(key, { ...blob, etag, metadata: metadataOf(call) })
      container.staged.delete(key)
      return { status: 201, headers: { etag } }
    }
    const blob = container.blobs.get(key)
    if (!blob) throw new AzureFault(404, 'BlobNotFound')
    if (call.method === 'DELETE') {
      container.blobs.delete(key)
      return { status: 202 }
    }
    return comp === 'blocklist' ? getBlockList(blob) : getBlob(blob, call)
  }
  const handle = (call: Call): Answer => {
    try {
      return route(call)
    } catch (err) {
      if (!(err instanceof AzureFault)) throw err
      const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${err.code}</Code><Message>${err.code}</Message></Error>`
      return { status: err.status, headers: { 'x-ms-error-code': err.code, 'content-type': 'application/xml' }, body }
    }
  }

  const server = await serveHttp({ handle })
  return {
    port: server.port,
    unfinished: () => [...containers.values()].reduce((sum, { staged }) => sum + staged.size, 0),
    stop: server.stop,
  }
}

function putBlock(container: Container, key: string, call: Call): Answer {
  const id = call.query.get('blockid') ?? ''
  const staged = container.staged.get(key) ?? new Map<string, Buffer>()
  for (const other of [...staged.keys(), ...(container.blobs.get(key)?.blocks.keys() ?? [])]) {
    if (other.length !== id.length) throw new AzureFault(400, 'InvalidBlobOrBlock')
  }
  container.staged.set(key, staged.set(id, call.body))
  return { status: 201 }
}

function fromBlocks(container: Container, key: string, call: Call): Pick<StoredBlob, 'bytes' | 'blocks'> {
  const blocks = new Map<string, Buffer>()
  for (const [, id = ''] of String(call.body).matchAll(/<(?:Latest|Uncommitted|Committed)>([^<]*)</g)) {
    const block = container.staged.get(key)?.get(id) ?? container.blobs.get(key)?.blocks.get(id)
    if (!block) throw new AzureFault(400, 'InvalidBlockList')
    blocks.set(id, block)
  }
  return { bytes: Buffer.concat([...blocks.values()]), blocks }
}

function checkConditions(blob: StoredBlob | undefined, call: Call): void {
  const { 'if-match': match, 'if-none-match': noneMatch } = call.headers
  if (noneMatch === '*' && blob) throw new AzureFault(409, 'BlobAlreadyExists')
  if (match !== undefined && match !== blob?.etag) throw new AzureFault(412, 'ConditionNotMet')
}

function metadataOf(call: Call): Record<string, string> {
  const found = Object.entries(call.headers).filter(([name]) => name.startsWith('x-ms-meta-'))
  return Object.fromEntries(found.map(([name, value]) => [name, String(value)]))
}
