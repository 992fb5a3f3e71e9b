import { Readable } from 'node:stream'
import type { ContainerClient } from '@azure/storage-blob'
import { type ObjectBackend, untilAnswered } from '@forebay/blobs'
import type { Clock } from '@forebay/kernel'
import { type AzureCall, isDiscarded, startBlocks } from './block-upload.ts'
import { faultOfAzure } from './fault-of-azure.ts'

const deletesAtOnce = 16

/** How long an answer may take to begin, the sending of a piece and every try included. */
const answerMs = 120_000

/** A container of Azure Blob Storage. */
export function makeAzureBackend(options: { client: ContainerClient; account: string; clock: Clock }): ObjectBackend {
  const { client, clock } = options
  const call: AzureCall = (work) => untilAnswered({ clock, limitMs: answerMs, work })
  const size = async (key: string): Promise<number> => {
    const found = await call((abortSignal) => client.getBlockBlobClient(key).getProperties({ abortSignal }))
    if (isDiscarded(found.metadata)) throw missing()
    return found.contentLength ?? 0
  }
  return {
    place: `the Azure container '${client.containerName}' of the account '${options.account}'`,
    permissions: {
      write: 'the role Storage Blob Data Contributor',
      read: 'the role Storage Blob Data Contributor',
      list: 'the role Storage Blob Data Contributor',
      delete: 'the role Storage Blob Data Contributor',
    },
    putWhole: async (key, bytes) => {
      await call((abortSignal) => client.getBlockBlobClient(key).upload(bytes, bytes.byteLength, { abortSignal }))
    },
    startUpload: async (key) => startBlocks({ blob: client.getBlockBlobClient(key), call }),
    open: async (key, range) => {
      const { readableStreamBody: body, metadata } = await call((abortSignal) =>
        client.getBlockBlobClient(key).download(range?.start ?? 0, range ? range.end - range.start : undefined, {
          maxRetryRequests: 3,
          abortSignal,
        }),
      )
      if (!(body instanceof Readable)) throw new Error(`Azure sent no body for '${key}'.`)
      if (isDiscarded(metadata)) {
        body.destroy()
        throw missing()
      }
      return body
    },
    size,
    delete: async (key) => {
      await call((abortSignal) => client.getBlockBlobClient(key).delete({ abortSignal }))
    },
    list: async function* (prefix) {
      for await (const page of client.listBlobsFlat({ prefix }).byPage({ maxPageSize: 1000 })) {
        yield page.segment.blobItems.map(({ name }) => name)
      }
    },
    deletePage: async (keys) => {
      for (let at = 0; at < keys.length; at += deletesAtOnce) {
        const some = keys.slice(at, at + deletesAtOnce)
        await Promise.all(
          some.map((key) => call((abortSignal) => client.getBlockBlobClient(key).deleteIfExists({ abortSignal }))),
        )
      }
    },
    faultOf: (err) => faultOfAzure(err, client.containerName),
  }
}

function missing(): Error {
  return Object.assign(new Error('The blob is what is left of a put that was given up.'), { code: 'BlobNotFound' })
}
