import type { Queryable, Row } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import type { SchedulerMetrics } from '../metrics.ts'
import type { ModelBook } from '../models.ts'
import { type Choice, chooseReleases, type TenantShare, type Window } from './choose-releases.ts'
import { type OutChunkRow, plannedChunks } from './chunk-rows.ts'
import { type LaneKey, type LaneWatch, laneOf, windowMs } from './lane-watch.ts'

const picksMax = 64
const plannedPerBatch = 32
// Chunks on the broker per live worker at least, before and after the lane's throughput was measured.
const chunksMinUnmeasured = 16
const chunksMinMeasured = 4

type TenantRow = Row & Omit<TenantShare, 'outstandingTokens'>

/**
 * Chooses the next chunks of every lane that has room in its window, and writes the tenants' counters. `running` are
 * the batches that may release, `out` every chunk released and not done, `turn` the picks made in earlier rounds.
 */
export async function fillWindows(
  tx: Queryable,
  options: {
    nowMs: number
    turn: number
    running: readonly BatchRow[]
    batches: ReadonlyMap<string, BatchRow>
    out: readonly OutChunkRow[]
    watch: LaneWatch
    models: ModelBook
    metrics: SchedulerMetrics
  },
): Promise<Choice[]> {
  const { nowMs, running, batches, out, watch } = options
  const lanes = [...groupBy(running, laneOf)].map(([lane, ofLane]) => {
    const outHere = out.filter((chunk) => ofLane.some((batch) => batch.id === chunk.batchId))
    return { lane, ofLane, window: windowOf(options, lane, ofLane, outHere) }
  })
  const open = lanes.filter(({ window }) => window.chunks < window.chunksMin || window.tokens < window.tokensMax)
  if (open.length === 0) return []
  const openIds = open.flatMap(({ ofLane }) => ofLane.map((batch) => batch.id))
  const planned = groupBy(await plannedChunks(tx, openIds, plannedPerBatch), (chunk) => chunk.batchId)
  const tenants = new Map((await tenantRows(tx, running)).map((row) => [row.id, row]))
  const tenantsOut = sumBy(out, (chunk) => batches.get(chunk.batchId)?.tenantId ?? '', leftTokens)
  const batchesOut = sumBy(out, (chunk) => chunk.batchId, leftTokens)
  const choices: Choice[] = []
  let { turn } = options
  for (const { lane, ofLane, window } of open) {
    const choice = chooseReleases({
      tenants: [...tenants.values()].map((row) => ({ ...row, outstandingTokens: tenantsOut.get(row.id) ?? 0 })),
      batches: ofLane.map((batch) => ({
        ...batch,
        outstandingTokens: batchesOut.get(batch.id) ?? 0,
        remainingTokens: batch.estTokens * (1 - (batch.completed + batch.failed) / Math.max(1, batch.total)),
        chunks: (planned.get(batch.id) ?? []).map((chunk) => ({ ...chunk, charged: chunk.attempt > 0 })),
      })),
      window,
      picksMax,
      nowMs,
      tokensPerSecond: watch.rate(lane),
      turn,
    })
    turn += choice.picks.length
    for (const [id, virtualTokens] of choice.tenants) {
      const tenant = tenants.get(id)
      if (tenant) tenants.set(id, { ...tenant, virtualTokens })
      await tx.query('UPDATE tenants SET virtual_tokens = $2 WHERE id = $1', [id, virtualTokens])
    }
    choices.push(choice)
  }
  return choices
}

function windowOf(
  options: { watch: LaneWatch; models: ModelBook; metrics: SchedulerMetrics },
  lane: LaneKey,
  ofLane: readonly BatchRow[],
  out: readonly OutChunkRow[],
): Window {
  const { metrics, models, watch } = options
  const labels = { pool: ofLane[0]?.pool ?? '', lane: ofLane[0]?.lane ?? '' }
  const rate = watch.rate(lane)
  const perWorker = rate > 0 ? chunksMinMeasured : chunksMinUnmeasured
  const tokens = out.reduce((sum, chunk) => sum + leftTokens(chunk), 0)
  const tokensMax = (rate * windowMs) / 1000
  metrics.windowTokens.set(labels, tokensMax)
  metrics.tokensPerSecond.set(labels, rate)
  metrics.outstandingTokens.set(labels, tokens)
  metrics.outstandingChunks.set(labels, out.length)
  return { chunks: out.length, chunksMin: perWorker * Math.max(1, models.liveWorkers(labels.pool)), tokens, tokensMax }
}

async function tenantRows(tx: Queryable, batches: readonly BatchRow[]): Promise<TenantRow[]> {
  return tx.query('SELECT id, weight, virtual_tokens AS "virtualTokens" FROM tenants WHERE id = ANY ($1) ORDER BY id', [
    [...new Set(batches.map((batch) => batch.tenantId))],
  ])
}

function leftTokens(chunk: OutChunkRow): number {
  return chunk.estTokens * (1 - chunk.done / chunk.entries)
}

function groupBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

function sumBy<T>(items: readonly T[], key: (item: T) => string, value: (item: T) => number): Map<string, number> {
  const sums = new Map<string, number>()
  for (const item of items) sums.set(key(item), (sums.get(key(item)) ?? 0) + value(item))
  return sums
}
