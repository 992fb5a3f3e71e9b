import { randomBytes } from 'node:crypto'
import type { BlockBlobClient } from '@azure/storage-blob'
import type { PieceUpload } from '@forebay/blobs'
import { codeOf } from './fault-of-azure.ts'

/** Makes a call to Azure within the time it is given. */
export type AzureCall = <T>(work: (abortSignal: AbortSignal) => Promise<T>) => Promise<T>

/** Marks an empty blob that stands in for a put being given up, for the moment until it is deleted. */
const discarded = 'forebaydiscarded'

/** True for a blob that readers must not see. */
export function isDiscarded(metadata: Record<string, string> | undefined): boolean {
  return metadata?.[discarded] !== undefined
}

/**
 * Blocks staged beside a blob, which commits them as a whole. Azure has no call to drop staged blocks: a commit drops
 * those it does not name. So a put that is given up commits an empty blob, marked as none, and deletes it; where an
 * older blob stands, its own blocks are committed once more. One that was stored in a single request has no blocks to
 * name: there Azure drops the staged ones itself, after a week.
 */
export function startBlocks(options: { blob: BlockBlobClient; call: AzureCall }): PieceUpload {
  const { blob, call } = options
  // Ids of two puts to one key must differ, and all ids of a blob be of one length.
  const put = randomBytes(12).toString('hex')
  const idOf = (number: number) => Buffer.from(`${put}-${String(number).padStart(6, '0')}`).toString('base64')
  let count = 0
  return {
    parallel: 2,
    send: async ({ number, bytes }) => {
      count = Math.max(count, number)
      await call((abortSignal) => blob.stageBlock(idOf(number), bytes, bytes.byteLength, { abortSignal }))
    },
    complete: async () => {
      const ids = Array.from({ length: count }, (_, i) => idOf(i + 1))
      await call((abortSignal) => blob.commitBlockList(ids, { abortSignal }))
    },
    abort: async () => {
      try {
        const { etag } = await blob.commitBlockList([], {
          conditions: { ifNoneMatch: '*' },
          metadata: { [discarded]: '1' },
        })
        await blob.delete({ conditions: etag === undefined ? {} : { ifMatch: etag } })
      } catch (err) {
        if (codeOf(err) !== 'BlobAlreadyExists') throw err
        await commitAgain(blob)
      }
    },
  }
}

async function commitAgain(blob: BlockBlobClient): Promise<void> {
  const { committedBlocks = [], etag } = await blob.getBlockList('committed')
  if (committedBlocks.length === 0 || etag === undefined) return
  await blob.commitBlockList(
    committedBlocks.map(({ name }) => name),
    { conditions: { ifMatch: etag } },
  )
}
