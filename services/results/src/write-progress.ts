import type { ChunkNote } from '@forebay/contracts'
import type { Queryable } from '@forebay/store'
import { unnest } from './unnest.ts'
import type { Committed } from './write-requests.ts'

/** What a transaction adds to a batch. */
export interface BatchDelta {
  batchId: string
  completed: number
  failed: number
  promptTokens: number
  cachedTokens: number
  completionTokens: number
  reasoningTokens: number
  costNano: number
  /** Of requests whose engine told of its prefix cache; how many did not; how many took another's answer. */
  toldPromptTokens: number
  toldCachedTokens: number
  untold: number
  identical: number
}

/** One delta per batch that has new results. Tokens are those charged, so that they belong to the cost. */
export function batchDeltas(committed: readonly Committed[]): BatchDelta[] {
  const deltas = new Map<string, BatchDelta>()
  for (const { arrival, charge } of committed) {
    const { batchId, usage } = arrival
    if (batchId === null) continue
    const delta = deltas.get(batchId) ?? { batchId, ...nothing }
    deltas.set(batchId, delta)
    if (arrival.outcome === 'succeeded') delta.completed++
    else delta.failed++
    if (charge === undefined) continue
    delta.promptTokens += usage.promptTokens
    delta.cachedTokens += usage.cachedTokens ?? 0
    delta.completionTokens += usage.completionTokens
    delta.reasoningTokens += usage.reasoningTokens
    delta.costNano += charge.amountNano
    if (arrival.source === 'identical') delta.identical++
    if (arrival.source !== 'engine') continue
    if (usage.cachedTokens === null) delta.untold++
    else {
      delta.toldPromptTokens += usage.promptTokens
      delta.toldCachedTokens += usage.cachedTokens
    }
  }
  return [...deltas.values()]
}

const nothing = {
  completed: 0,
  failed: 0,
  promptTokens: 0,
  cachedTokens: 0,
  completionTokens: 0,
  reasoningTokens: 0,
  costNano: 0,
  toldPromptTokens: 0,
  toldCachedTokens: 0,
  untold: 0,
  identical: 0,
}

/** Adds to the batches' counters. Their rows must be locked. */
export async function addToBatches(tx: Queryable, deltas: readonly BatchDelta[]): Promise<void> {
  if (deltas.length === 0) return
  const rows = unnest(deltas, {
    batch_id: ['text', (d) => d.batchId],
    completed: ['int', (d) => d.completed],
    failed: ['int', (d) => d.failed],
    prompt_tokens: ['bigint', (d) => d.promptTokens],
    cached_tokens: ['bigint', (d) => d.cachedTokens],
    completion_tokens: ['bigint', (d) => d.completionTokens],
    reasoning_tokens: ['bigint', (d) => d.reasoningTokens],
    cost_nano: ['bigint', (d) => d.costNano],
    told_prompt_tokens: ['bigint', (d) => d.toldPromptTokens],
    told_cached_tokens: ['bigint', (d) => d.toldCachedTokens],
    untold: ['int', (d) => d.untold],
    identical: ['int', (d) => d.identical],
  })
  await tx.query(
    `UPDATE batches SET
       completed = batches.completed + rows.completed,
       failed = batches.failed + rows.failed,
       prompt_tokens = batches.prompt_tokens + rows.prompt_tokens,
       cached_tokens = batches.cached_tokens + rows.cached_tokens,
       completion_tokens = batches.completion_tokens + rows.completion_tokens,
       reasoning_tokens = batches.reasoning_tokens + rows.reasoning_tokens,
       cost_nano = batches.cost_nano + rows.cost_nano,
       told_prompt_tokens = batches.told_prompt_tokens + rows.told_prompt_tokens,
       told_cached_tokens = batches.told_cached_tokens + rows.told_cached_tokens,
       untold = batches.untold + rows.untold,
       identical = batches.identical + rows.identical
     FROM ${rows.from} WHERE batches.id = rows.batch_id`,
    rows.values,
    { prepare: true },
  )
}

/** What a transaction tells of a chunk. */
export interface ChunkDelta {
  batchId: string
  chunk: number
  done: number
  returnedAttempt: number
}

/** One delta per chunk that has new results or a note. */
export function chunkDeltas(committed: readonly Committed[], notes: readonly ChunkNote[]): ChunkDelta[] {
  const deltas = new Map<string, ChunkDelta>()
  const of = (batchId: string, chunk: number) => {
    const key = `${batchId} ${chunk}`
    const delta = deltas.get(key) ?? { batchId, chunk, done: 0, returnedAttempt: 0 }
    deltas.set(key, delta)
    return delta
  }
  for (const { arrival } of committed) {
    if (arrival.batchId !== null && arrival.chunk !== null) of(arrival.batchId, arrival.chunk).done++
  }
  for (const note of notes) {
    const delta = of(note.batchId, note.chunk)
    if (note.state === 'returned') delta.returnedAttempt = Math.max(delta.returnedAttempt, note.attempt)
  }
  return [...deltas.values()]
}

/** Counts finished entries, takes notes, and marks every chunk named as seen now. The batches' rows must be locked. */
export async function addToChunks(tx: Queryable, deltas: readonly ChunkDelta[]): Promise<void> {
  if (deltas.length === 0) return
  const rows = unnest(deltas, {
    batch_id: ['text', (d) => d.batchId],
    chunk: ['int', (d) => d.chunk],
    done: ['int', (d) => d.done],
    returned_attempt: ['int', (d) => d.returnedAttempt],
  })
  await tx.query(
    `INSERT INTO chunk_progress (${rows.names}) SELECT ${rows.names} FROM ${rows.from}
     ON CONFLICT (batch_id, chunk) DO UPDATE SET
       done = chunk_progress.done + excluded.done,
       returned_attempt = greatest(chunk_progress.returned_attempt, excluded.returned_attempt),
       last_seen_at = excluded.last_seen_at`,
    rows.values,
    { prepare: true },
  )
}
