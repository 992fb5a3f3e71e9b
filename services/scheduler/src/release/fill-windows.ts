import { judgeTenantId } from '@forebay/contracts'
import { scorePools, type Weights } from '@forebay/router'
import type { Queryable, Row } from '@forebay/store'
import type { BatchRow } from '../batch-row.ts'
import type { SchedulerMetrics } from '../metrics.ts'
import type { ModelBook } from '../models.ts'
import type { PoolView } from '../pools/route-batch.ts'
import { type Choice, chooseReleases, type TenantShare, type Window } from './choose-releases.ts'
import { type OutChunkRow, type PlannedChunk, plannedChunks } from './chunk-rows.ts'
import { type LaneKey, type LaneWatch, laneKey, windowMs } from './lane-watch.ts'
import { preferPool } from './prefer-pool.ts'
import type { Target, Targets } from './targets.ts'

const picksPerLane = 64
const plannedPerLane = 32
// With several pools the lanes take turns, so that the last chunks of a batch do not all go to one of them.
const picksPerTurn = 4
// Chunks on the broker per live worker at least, before and after the lane's throughput was measured.
const chunksMinUnmeasured = 16
const chunksMinMeasured = 4

type TenantRow = Row & Omit<TenantShare, 'outstandingTokens'>

/** Which chunks go where, and the new counters of the batches that were charged. */
export interface Filled {
  picks: { batchId: string; index: number; pool: string; route: string }[]
  batchTokens: Map<string, number>
}

interface LaneFill {
  key: LaneKey
  pool: string
  view: PoolView
  /** Its batches may use it only once their own pools' windows are full. */
  overflow: boolean
  lane: string
  targets: Target[]
  window: Window
  picked: number
}

/**
 * Chooses the next chunks for every lane of every pool that has room in its window, the best score first (the emptiest,
 * where nothing else tells them apart), and writes the tenants' counters. Chunks go to any of the pools on the route of
 * their target, and to its overflow once those are full. `targets` are those of the batches that may release,
 * `out` every chunk released and not done, `turn` the picks made in earlier rounds.
 */
export async function fillWindows(
  tx: Queryable,
  options: {
    nowMs: number
    turn: number
    batches: ReadonlyMap<string, BatchRow>
    targets: Targets
    out: readonly OutChunkRow[]
    watch: LaneWatch
    models: ModelBook
    metrics: SchedulerMetrics
    weights: Weights
  },
): Promise<Filled> {
  const { nowMs, batches, targets, out, watch } = options
  const filled: Filled = { picks: [], batchTokens: new Map() }
  const all = lanesOf(options)
  const lanes = all.filter(hasRoom)
  if (lanes.length === 0) return filled
  const open = [...new Set(lanes.flatMap((lane) => lane.targets))]
  const wanted = [...new Map(open.map((target) => [`${target.batch.id}\n${target.stored}`, target])).values()].map(
    ({ batch, stored }) => ({ batchId: batch.id, model: stored }),
  )
  const planned = groupBy(await plannedChunks(tx, wanted, plannedPerLane * lanes.length), (chunk) =>
    targets.keyOf(chunk),
  )
  const running = [...new Set(targets.all.map(({ batch }) => batch))]
  const tenants = new Map((await tenantRows(tx, running)).map((row) => [row.id, row]))
  const tenantsOut = sumBy(out, (chunk) => batches.get(chunk.batchId)?.tenantId ?? '', leftTokens)
  const batchesOut = sumBy(out, (chunk) => chunk.batchId, leftTokens)
  const charged = new Set<string>()
  const tokensPerSecond = new Map(
    [...new Set(lanes.map(({ lane }) => lane))].map((lane) => [
      lane,
      lanes.filter((one) => one.lane === lane).reduce((sum, { key }) => sum + watch.rate(key), 0),
    ]),
  )

  // With one pool to go to the order is the plan's.
  const ordered = (chunks: readonly PlannedChunk[], pool: string) =>
    lanes.length > 1 ? preferPool(chunks, pool) : chunks
  const fill = (lane: LaneFill, why: string): Choice => {
    const choice = chooseReleases({
      tenants: [...tenants.values()].map((row) => ({ ...row, outstandingTokens: tenantsOut.get(row.id) ?? 0 })),
      batches: [...groupBy(mayUse(lane, all), ({ batch }) => batch)].map(([batch, own]) => ({
        ...batch,
        virtualTokens: filled.batchTokens.get(batch.id) ?? batch.virtualTokens,
        outstandingTokens: batchesOut.get(batch.id) ?? 0,
        remainingTokens: batch.estTokens * (1 - (batch.completed + batch.failed) / Math.max(1, batch.total)),
        chunks: ordered(
          own.flatMap(({ key }) => planned.get(key) ?? []),
          lane.pool,
        ).map((chunk) => ({
          ...chunk,
          charged: chunk.attempt > 0,
        })),
      })),
      window: lane.window,
      picksMax: Math.min(lanes.length > 1 ? picksPerTurn : picksPerLane, picksPerLane - lane.picked),
      nowMs,
      tokensPerSecond: tokensPerSecond.get(lane.lane) ?? 0,
      turn: options.turn + filled.picks.length,
    })
    for (const { batchId, index } of choice.picks) {
      const target = lane.targets.find(
        ({ batch, key }) => batch.id === batchId && planned.get(key)?.some((chunk) => chunk.index === index),
      )
      const left = planned.get(target?.key ?? '') ?? []
      const estTokens = left.find((chunk) => chunk.index === index)?.estTokens ?? 0
      planned.set(
        target?.key ?? '',
        left.flatMap((chunk) => {
          if (chunk.index === index) return []
          return [chunk.index === index + 1 ? { ...chunk, pool: lane.pool } : chunk]
        }),
      )
      lane.window = { ...lane.window, chunks: lane.window.chunks + 1, tokens: lane.window.tokens + estTokens }
      const tenantId = batches.get(batchId)?.tenantId ?? ''
      tenantsOut.set(tenantId, (tenantsOut.get(tenantId) ?? 0) + estTokens)
      batchesOut.set(batchId, (batchesOut.get(batchId) ?? 0) + estTokens)
      const because = lane.overflow ? 'overflow: every pool of our own is full' : target?.route.because
      filled.picks.push({
        batchId,
        index,
        pool: lane.pool,
        route: `${lane.pool}: ${because ? `${because}; ` : ''}${why}`,
      })
    }
    lane.picked += choice.picks.length
    for (const [id, virtualTokens] of choice.batches) filled.batchTokens.set(id, virtualTokens)
    for (const [id, virtualTokens] of choice.tenants) {
      const tenant = tenants.get(id)
      if (tenant) tenants.set(id, { ...tenant, virtualTokens })
      charged.add(id)
    }
    return choice
  }

  for (let left = lanes; left.length > 0; ) {
    const own = left.filter(({ overflow }) => !overflow)
    const { lane, why } = best(own.length > 0 ? own : left, options.weights)
    const { picks } = fill(lane, why)
    const over = picks.length === 0 || lane.picked >= picksPerLane || !hasRoom(lane)
    if (over) left = left.filter((one) => one !== lane)
  }
  for (const id of charged) {
    await tx.query('UPDATE tenants SET virtual_tokens = $2 WHERE id = $1', [id, tenants.get(id)?.virtualTokens ?? 0])
  }
  return filled
}

/** The lanes that some target may go to. */
function lanesOf(options: Parameters<typeof fillWindows>[1]): LaneFill[] {
  const lanes = new Map<string, LaneFill>()
  const outByLane = groupBy(options.out, (chunk) => laneKey(chunk.pool, options.batches.get(chunk.batchId)?.lane ?? ''))
  for (const target of options.targets.all) {
    const { batch, route } = target
    const both = [route.pools, route.overflow]
    for (const [view, overflow] of both.flatMap((views, i) => views.map((one) => [one, i === 1] as const))) {
      const { lane } = batch
      const { name: pool } = view
      const key = laneKey(pool, lane)
      const known = lanes.get(`${key}.${overflow}`)
      if (known) known.targets.push(target)
      else {
        const window = windowOf(options, { key, pool, lane }, outByLane.get(key) ?? [])
        lanes.set(`${key}.${overflow}`, { key, pool, view, overflow, lane, targets: [target], window, picked: 0 })
      }
    }
  }
  return [...lanes.values()]
}

function windowOf(
  options: { watch: LaneWatch; models: ModelBook; metrics: SchedulerMetrics },
  { key, pool, lane }: { key: LaneKey; pool: string; lane: string },
  out: readonly OutChunkRow[],
): Window {
  const { metrics, models, watch } = options
  const labels = { pool, lane }
  const rate = watch.rate(key)
  const perWorker = rate > 0 ? chunksMinMeasured : chunksMinUnmeasured
  const tokens = out.reduce((sum, chunk) => sum + leftTokens(chunk), 0)
  const tokensMax = (rate * windowMs) / 1000
  metrics.windowTokens.set(labels, tokensMax)
  metrics.tokensPerSecond.set(labels, rate)
  metrics.outstandingTokens.set(labels, tokens)
  metrics.outstandingChunks.set(labels, out.length)
  return { chunks: out.length, chunksMin: perWorker * Math.max(1, models.liveWorkers(pool)), tokens, tokensMax }
}

function hasRoom({ window }: LaneFill): boolean {
  return window.chunks < window.chunksMin || window.tokens < window.tokensMax
}

/** The targets that a lane may serve now: where it is overflow, those whose own pools have no room left. */
function mayUse(lane: LaneFill, all: readonly LaneFill[]): Target[] {
  if (!lane.overflow) return lane.targets
  const room = all.filter((one) => !one.overflow && one.lane === lane.lane && hasRoom(one))
  return lane.targets.filter((target) => !room.some(({ targets }) => targets.includes(target)))
}

/** The lane to fill next, and why in words. */
function best(lanes: readonly LaneFill[], weights: Weights): { lane: LaneFill; why: string } {
  const scored = scorePools(
    lanes.map((lane) => ({ ...lane.view, name: lane.key, latencyMs: undefined, load: fullness(lane), lane })),
    weights,
  )
  const [first, second] = scored
  if (!first) throw new RangeError('There is no lane to choose from.')
  const { cost, load, proximity } = first.parts
  const parts = `cost ${cost.toFixed(2)}, load ${load.toFixed(2)}, proximity ${proximity.toFixed(2)}`
  const rank = `the best score of ${scored.length} windows with room, ${first.score.toFixed(2)} (${parts}).`
  return { lane: first.pool.lane, why: second ? rank : 'no other window has room.' }
}

/** How full a window is, as a share: what was measured counts, a lane without any measure by its chunks. */
function fullness({ window }: LaneFill): number {
  return window.tokensMax > 0 ? window.tokens / window.tokensMax : window.chunks / window.chunksMin
}

async function tenantRows(tx: Queryable, batches: readonly BatchRow[]): Promise<TenantRow[]> {
  // What the judge looks at can wait: it gets a tenth of what a tenant does.
  return tx.query(
    `SELECT id, CASE WHEN id = $2 THEN 0.1 ELSE weight END::float8 AS weight, virtual_tokens AS "virtualTokens"
     FROM tenants WHERE id = ANY ($1) ORDER BY id`,
    [[...new Set(batches.map((batch) => batch.tenantId))], judgeTenantId],
  )
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
