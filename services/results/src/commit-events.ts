import { type Spending, spendBudgets } from '@forebay/budgets'
import { isCharged, type ResultEvent } from '@forebay/contracts'
import { type PricesNow, readPrices } from '@forebay/ledger'
import { type Charge, chargeFor } from '@forebay/pricing'
import type { Database, Queryable } from '@forebay/store'
import { type Arrival, arrivalsOf, storable } from './arrival.ts'
import { recordEngineTime } from './write-engine-time.ts'
import type { CostPerGpuHour } from './write-ledger.ts'
import { addToBatches, addToChunks, batchDeltas, chunkDeltas } from './write-progress.ts'
import { addToQuality, type QualityThresholds, qualityDeltas } from './write-quality.ts'
import { type Committed, insertResults } from './write-requests.ts'
import { recordDiscarded, recordFailed, recordWaste, type WasteReason } from './write-waste.ts'

/** What one transaction did. */
export interface CommitSummary {
  committed: Committed[]
  wasted: WasteReason[]
}

/**
 * Commits the results and notes of several events in one transaction: audit rows, and for those that were not there
 * before also ledger entries and counters. The same event may come any number of times, to any replica, in any order.
 * Throws, with nothing written, when any of the events cannot be committed.
 *
 * Locks are taken in the order batches by id, then requests by id, so that replicas do not deadlock. The lock on its
 * batch also keeps a batch from being closed between the look at it and the commit.
 */
export function commitEvents(options: {
  db: Database
  events: readonly ResultEvent[]
  costPerGpuHour?: CostPerGpuHour | undefined
  quality?: QualityThresholds | undefined
}): Promise<CommitSummary> {
  const { costPerGpuHour = () => undefined, quality = unbounded } = options
  const arrivals = arrivalsOf(options.events)
  const notes = options.events.flatMap((event) => event.chunks.map(storable))
  const batchIds = new Set([...arrivals, ...notes].flatMap(({ batchId }) => batchId ?? []))
  return options.db.tx(async (tx) => {
    const open = await lockOpenBatches(tx, [...batchIds])
    const admitted = firstPerRequest(arrivals.filter((a) => a.batchId === null || open.has(a.batchId)))
    const committed = await insertCharged(tx, admitted, costPerGpuHour)
    await recordFailed(
      tx,
      committed.flatMap(({ arrival, charge }) => (charge ? [] : [arrival])),
      costPerGpuHour,
    )
    await recordDiscarded(
      tx,
      committed.map(({ arrival }) => arrival),
    )
    await recordEngineTime(tx, options.events, costPerGpuHour)
    const batches = batchDeltas(committed)
    await addToBatches(tx, batches)
    await addToQuality(tx, qualityDeltas(committed, quality))
    const openNotes = notes.filter((note) => open.has(note.batchId))
    await addToChunks(tx, chunkDeltas(committed, openNotes))
    const winners = new Set(committed.map(({ arrival }) => arrival))
    const wasted = await recordWaste(
      tx,
      arrivals.filter((a) => !winners.has(a)),
      open,
      costPerGpuHour,
    )
    await spendBudgets(tx, spendingOf(committed))
    const moved = batches.length > 0 || openNotes.some((note) => note.state === 'returned')
    if (moved) await tx.query('NOTIFY forebay_progress')
    return { committed, wasted }
  })
}

const unbounded: QualityThresholds = { repetition: Number.POSITIVE_INFINITY, perplexity: Number.POSITIVE_INFINITY }

/** What the committed results add to budgets and no longer need of what was held. */
function spendingOf(committed: readonly Committed[]): Parameters<typeof spendBudgets>[1] {
  const batches = new Map<string, number>()
  const spending: Spending[] = []
  for (const { arrival, charge } of committed) {
    if (charge === undefined || charge.amountNano === 0) continue
    const { apiKeyId: keyId, batchId, finishedAtMs: atMs, tenantId } = arrival
    spending.push({ tenantId, keyId, atMs, amountNano: charge.amountNano, currency: charge.currency })
    if (batchId !== null) batches.set(batchId, (batches.get(batchId) ?? 0) + charge.amountNano)
  }
  return { spending, batches, holds: committed.flatMap(({ arrival }) => arrival.holds ?? []) }
}

/** Locks the batches that still take results, and answers their ids. */
async function lockOpenBatches(tx: Queryable, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  // Not FOR UPDATE: what the counters' update takes is enough, and lets rows that refer to the batch be inserted.
  const rows = await tx.query<{ id: string }>(
    'SELECT id FROM batches WHERE id = ANY ($1) AND closed_at IS NULL ORDER BY id FOR NO KEY UPDATE',
    [ids],
  )
  return new Set(rows.map((row) => row.id))
}

/** The first result of each request, by id. */
function firstPerRequest(arrivals: readonly Arrival[]): Arrival[] {
  const first = new Map<string, Arrival>()
  for (const arrival of arrivals) if (!first.has(arrival.requestId)) first.set(arrival.requestId, arrival)
  return [...first.values()].sort((a, b) => (a.requestId < b.requestId ? -1 : 1))
}

/** Inserts audit rows, and ledger entries for those of them that are charged; answers the results that are new. */
async function insertCharged(
  tx: Queryable,
  arrivals: readonly Arrival[],
  costPerGpuHour: CostPerGpuHour,
): Promise<Committed[]> {
  if (arrivals.length === 0) return []
  const priced = arrivals.filter(isCharged)
  const now = priced.length > 0 ? await pricesOf(tx, priced) : undefined
  const results = arrivals.map((arrival) => ({
    arrival,
    // A worker's clock may be ahead; no charge is made at a price of the future.
    charge: now && isCharged(arrival) ? chargeOf(arrival, now) : undefined,
  }))
  const ids = await insertResults(tx, results, costPerGpuHour)
  return results.filter(({ arrival }) => ids.has(arrival.requestId))
}

// Field by field: a copy of the whole arrival for each is a good part of what a commit costs here.
function chargeOf(arrival: Arrival, { nowMs, prices }: PricesNow): Charge {
  const { endpoint, lane, model, modelVersion, source, tenantId, usage } = arrival
  const atMs = Math.min(arrival.finishedAtMs, nowMs)
  return chargeFor({ tenantId, endpoint, model, modelVersion, lane, source, usage, atMs, prices })
}

function pricesOf(tx: Queryable, arrivals: readonly Arrival[]): Promise<PricesNow> {
  return readPrices(tx, {
    tenantIds: [...new Set(arrivals.map((a) => a.tenantId))],
    models: [...new Set(arrivals.map((a) => a.model))],
    sinceMs: arrivals.reduce((least, a) => Math.min(least, a.finishedAtMs), Number.POSITIVE_INFINITY),
  })
}
