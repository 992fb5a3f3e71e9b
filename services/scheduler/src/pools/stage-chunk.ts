import type { BlobStore } from '@forebay/blobs'
import { decodePlanEntries, planEntryBytes, writePlanEntry } from '@forebay/plan'

const readsMax = 8

/**
 * Copies the lines that the entries name into one object in another store, in their order, and answers entries that name
 * them there. In memory at once: the lines, of which a chunk holds a bounded number of tokens.
 */
export async function stageChunk(options: {
  from: Pick<BlobStore, 'readRange'>
  inputKey: string
  entries: Buffer
  to: Pick<BlobStore, 'put'>
  key: string
}): Promise<Buffer> {
  const entries = decodePlanEntries(options.entries)
  const lines = new Array<Buffer>(entries.length)
  let next = 0
  const readNext = async (): Promise<void> => {
    for (let i = next++; i < entries.length; i = next++) {
      const { offset, length } = entries[i] ?? { offset: 0, length: 0 }
      lines[i] = await options.from.readRange(options.inputKey, offset, offset + length)
    }
  }
  await Promise.all(Array.from({ length: readsMax }, readNext))
  const staged = Buffer.alloc(entries.length * planEntryBytes)
  const pieces: Buffer[] = []
  let offset = 0
  for (const [i, entry] of entries.entries()) {
    const line = lines[i] ?? Buffer.alloc(0)
    writePlanEntry(staged, i, { ...entry, offset })
    pieces.push(line, Buffer.from('\n'))
    offset += line.length + 1
  }
  await options.to.put(options.key, Buffer.concat(pieces))
  return staged
}
