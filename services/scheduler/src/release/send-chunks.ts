import type { BlobStore } from '@forebay/blobs'
import { blobKeys, type ChunkJob, queueName, type WorkJob, workJobSchema } from '@forebay/contracts'
import type { Clock } from '@forebay/kernel'
import { clearSameAsPrevious, isSameAsPrevious, planEntryBytes, readPlanEntry } from '@forebay/plan'
import type { Pools } from '@forebay/pools'
import { type JobSender, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { Database } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import { stageChunk } from '../pools/stage-chunk.ts'
import { finishedLines, markDone, type ReleasedChunk } from './chunk-rows.ts'
import { readEntries } from './read-entries.ts'

/** A chunk on its way to the broker, with its batch. */
export interface Shipment {
  batch: BatchRow
  chunk: ReleasedChunk
}

/** Sends the jobs of chunks already marked released to their pool. Answers with those that its broker refused and why; rejects when it cannot be reached. */
export type SendToPool = (
  pool: string,
  shipments: readonly Shipment[],
) => Promise<{ refused: Shipment[]; reason: unknown }>

/**
 * A SendToPool. The plan entries of requests that have an audit row are left out of a later attempt. The lines go ahead
 * of the job to a pool whose store is not the files'.
 */
export function makeSendToPool(options: {
  db: Database
  fileStore: BlobStore
  pools: Pools
  clock: Clock
}): SendToPool {
  const { db, fileStore, pools, clock } = options
  const senders = new Map<string, Promise<JobSender<WorkJob>>>()
  const codec = makeJsonCodec<WorkJob>(workJobSchema)

  const open = async (pool: string, name: string): Promise<JobSender<WorkJob>> => {
    const driver = (await pools.queues(pool)).queue(name)
    await driver.ensure()
    return makeJobSender({ driver, codec, clock })
  }
  const senderOf = (pool: string, name: string): Promise<JobSender<WorkJob>> => {
    const known = senders.get(name)
    if (known) return known
    const opened = open(pool, name)
    senders.set(name, opened)
    opened.catch(() => senders.delete(name))
    return opened
  }

  const toJob = async ({ batch, chunk }: Shipment, all: Buffer): Promise<ChunkJob | undefined> => {
    const entries = chunk.attempt > 1 ? withoutLines(all, await finishedLines(db, chunk)) : all
    if (entries.length === 0) return undefined
    const { id: batchId, tenantId, apiKeyId, endpoint, lane, expiresAtMs } = batch
    const { index, attempt, pool } = chunk
    const head = { v: 1, kind: 'chunk', batchId, tenantId, apiKeyId, chunk: index, attempt, endpoint, lane } as const
    const lines = await place({ batch, chunk }, entries)
    const model = chunk.model ?? batch.model ?? ''
    const alias = batch.model !== null && batch.model !== model ? { alias: batch.model } : {}
    const work = { model, ...alias, pool, inputKey: lines.key, entries: lines.entries.toString('base64') }
    const check = batch.check === null ? {} : { check: batch.check }
    return { ...head, ...work, ...check, endUserKey: batch.endUserKey, deadlineMs: expiresAtMs }
  }

  const place = async ({ batch, chunk }: Shipment, entries: Buffer): Promise<{ key: string; entries: Buffer }> => {
    const { inputKey } = batch
    if (pools.sharesFileStore(chunk.pool)) return { key: inputKey, entries }
    const key = blobKeys.staged(batch.tenantId, batch.id, chunk.index, chunk.attempt)
    const to = pools.blobs(chunk.pool)
    return { key, entries: await stageChunk({ from: fileStore, inputKey, entries, to, key }) }
  }

  const sendTo = async (pool: string, name: string, shipments: readonly Shipment[]) => {
    const sender = await senderOf(pool, name)
    const items: { id: string; job: ChunkJob; fairnessKey: string; shipment: Shipment }[] = []
    const ranges = shipments.map((shipment) => {
      const { batch, chunk } = shipment
      return { ...chunk, planKey: blobKeys.plan(batch.tenantId, batch.id), shipment }
    })
    for (const [{ shipment }, entries] of await readEntries(fileStore, ranges)) {
      const job = await toJob(shipment, entries)
      const { batchId, index, attempt } = shipment.chunk
      if (!job) await markDone(db, [shipment.chunk])
      else items.push({ id: `${batchId}.${index}.${attempt}`, job, fairnessKey: job.tenantId, shipment })
    }
    const results = await sender.send(items.map(({ id, job, fairnessKey }) => ({ id, job, fairnessKey })))
    const failures = items.flatMap(({ shipment }, i) => {
      const result = results[i]
      return result?.ok === true ? [] : [{ shipment, reason: result?.error }]
    })
    return failures
  }

  return async (pool, shipments) => {
    const lanes = new Set(shipments.map(({ batch }) => batch.lane))
    const failures = []
    for (const lane of lanes) {
      const ofLane = shipments.filter(({ batch }) => batch.lane === lane)
      failures.push(...(await sendTo(pool, queueName(pool, lane), ofLane)))
    }
    return { refused: failures.map(({ shipment }) => shipment), reason: failures[0]?.reason }
  }
}

/** The entries whose lines are not among these. Of requests that are the same, the first that is left runs. */
function withoutLines(entries: Buffer, lines: ReadonlySet<number>): Buffer {
  const kept: Buffer[] = []
  let leaderGone = false
  for (let i = 0; i < entries.length / planEntryBytes; i++) {
    const same = isSameAsPrevious(entries, i)
    if (lines.has(readPlanEntry(entries, i).line)) {
      leaderGone ||= !same
      continue
    }
    if (same && leaderGone) clearSameAsPrevious(entries, i)
    leaderGone = false
    kept.push(entries.subarray(i * planEntryBytes, (i + 1) * planEntryBytes))
  }
  return Buffer.concat(kept)
}
