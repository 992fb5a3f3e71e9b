import { setImmediate as breathe } from 'node:timers/promises'
import { planEntryBytes, readPlanEntry } from '@forebay/plan'

/** Columns of a batch's chunks, by index: each a run of the plan. */
export interface ChunkColumns {
  firstEntry: number[]
  entries: number[]
  estTokens: number[]
}

/** Cuts a plan into chunks of at most `chunkRequests` requests and `chunkTokens` tokens; one request alone may exceed the latter. */
export async function cutChunks(
  plan: Buffer,
  limits: { chunkRequests: number; chunkTokens: number },
): Promise<ChunkColumns> {
  const columns: ChunkColumns = { firstEntry: [], entries: [], estTokens: [] }
  const count = plan.length / planEntryBytes
  let first = 0
  let tokens = 0
  const close = (end: number) => {
    columns.firstEntry.push(first)
    columns.entries.push(end - first)
    columns.estTokens.push(tokens)
    first = end
    tokens = 0
  }
  for (let i = 0; i < count; i++) {
    if (i % 16_384 === 16_383) await breathe()
    const { estTokens } = readPlanEntry(plan, i)
    if (i > first && (i - first === limits.chunkRequests || tokens + estTokens > limits.chunkTokens)) close(i)
    tokens += estTokens
  }
  if (first < count) close(count)
  return columns
}
