import type { BlobStore } from '@forebay/blobs'
import { blobKeys, type ChunkJob, queueName, type WorkJob, workJobSchema } from '@forebay/contracts'
import { type Clock, describeError, ForebayError, type Logger } from '@forebay/kernel'
import { planEntryBytes, readPlanEntry } from '@forebay/plan'
import { type JobSender, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { QueueProvider } from '@forebay/queue-port'
import type { Database } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import { finishedLines, markDone, markPlanned, type ReleasedChunk } from './chunk-rows.ts'

/** A chunk on its way to the broker, with its batch. */
export interface Shipment {
  batch: BatchRow
  chunk: ReleasedChunk
}

/** Sends the jobs of chunks already marked released. Answers with those that did not get there, which are planned again. */
export type SendChunks = (shipments: readonly Shipment[]) => Promise<readonly Shipment[]>

/** A SendChunks on these queues; the plan entries of requests that have an audit row are left out of a later attempt. */
export function makeSendChunks(options: {
  db: Database
  blobs: BlobStore
  queues: QueueProvider
  clock: Clock
  logger: Logger
}): SendChunks {
  const { db, blobs, queues, clock, logger } = options
  const senders = new Map<string, Promise<JobSender<WorkJob>>>()
  const codec = makeJsonCodec<WorkJob>(workJobSchema)

  const senderOf = (name: string): Promise<JobSender<WorkJob>> => {
    const known = senders.get(name)
    if (known) return known
    const driver = queues.queue(name)
    const opened = driver.ensure().then(() => makeJobSender({ driver, codec, clock }))
    senders.set(name, opened)
    opened.catch(() => senders.delete(name))
    return opened
  }

  const toJob = async ({ batch, chunk }: Shipment): Promise<ChunkJob | undefined> => {
    const first = chunk.firstEntry * planEntryBytes
    const planKey = blobKeys.plan(batch.tenantId, batch.id)
    const all = await blobs.readRange(planKey, first, first + chunk.entries * planEntryBytes)
    const entries = chunk.attempt > 1 ? withoutLines(all, await finishedLines(db, chunk)) : all
    if (entries.length === 0) return undefined
    const { id: batchId, tenantId, apiKeyId, endpoint, lane, inputKey, expiresAtMs } = batch
    const { index, attempt } = chunk
    const head = { v: 1, kind: 'chunk', batchId, tenantId, apiKeyId, chunk: index, attempt, endpoint, lane } as const
    const work = { model: batch.model ?? '', pool: batch.pool ?? '', inputKey, entries: entries.toString('base64') }
    return { ...head, ...work, deadlineMs: expiresAtMs }
  }

  const sendTo = async (name: string, shipments: readonly Shipment[]): Promise<Shipment[]> => {
    const items: { id: string; job: ChunkJob; fairnessKey: string; shipment: Shipment }[] = []
    for (const shipment of shipments) {
      const job = await toJob(shipment)
      const { batchId, index, attempt } = shipment.chunk
      if (!job) await markDone(db, [shipment.chunk])
      else items.push({ id: `${batchId}.${index}.${attempt}`, job, fairnessKey: job.tenantId, shipment })
    }
    const results = await (await senderOf(name)).send(
      items.map(({ id, job, fairnessKey }) => ({ id, job, fairnessKey })),
    )
    return items.filter((_, i) => results[i]?.ok !== true).map(({ shipment }) => shipment)
  }

  return async (shipments) => {
    const failed: Shipment[] = []
    for (const [name, group] of groupByQueue(shipments)) {
      try {
        failed.push(...(await sendTo(name, group)))
      } catch (err) {
        logger.warn({ queue: name, chunks: group.length, reason: describeError(err) }, 'chunks not sent')
        failed.push(...group)
      }
    }
    if (failed.length > 0)
      await markPlanned(
        db,
        failed.map(({ chunk }) => chunk),
      )
    return failed
  }
}

/** Thrown by a round whose chunks did not all reach the broker, so that the next one comes with back-off. */
export function notSent(count: number): ForebayError {
  return new ForebayError('unavailable', `${count} chunks did not reach the queue. They will be sent again.`)
}

function withoutLines(entries: Buffer, lines: ReadonlySet<number>): Buffer {
  const kept: Buffer[] = []
  for (let i = 0; i < entries.length / planEntryBytes; i++) {
    if (lines.has(readPlanEntry(entries, i).line)) continue
    kept.push(entries.subarray(i * planEntryBytes, (i + 1) * planEntryBytes))
  }
  return Buffer.concat(kept)
}

function groupByQueue(shipments: readonly Shipment[]): Map<string, Shipment[]> {
  const groups = new Map<string, Shipment[]>()
  for (const shipment of shipments) {
    const name = queueName(shipment.batch.pool ?? '', shipment.batch.lane)
    groups.set(name, [...(groups.get(name) ?? []), shipment])
  }
  return groups
}
