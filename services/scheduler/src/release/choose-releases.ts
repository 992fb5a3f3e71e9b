/** A tenant with work in a lane. */
export interface TenantShare {
  id: string
  weight: number
  /** Tokens released so far, divided by weight. */
  virtualTokens: number
  /** Released and not done, in every lane. */
  outstandingTokens: number
}

/** A batch with chunks still to release. */
export interface BatchShare {
  id: string
  tenantId: string
  virtualTokens: number
  outstandingTokens: number
  /** Not yet done, released or not. */
  remainingTokens: number
  expiresAtMs: number
  /** The next chunks, in order. One released before (`charged`) costs its owner nothing more. */
  chunks: readonly { index: number; estTokens: number; charged: boolean }[]
}

/** How much may be on the broker. There is room while either is below its bound. */
export interface Window {
  chunks: number
  chunksMin: number
  tokens: number
  tokensMax: number
}

export interface Choice {
  picks: { batchId: string; index: number }[]
  /** New counters of those that were charged, or lifted on becoming active. */
  tenants: Map<string, number>
  batches: Map<string, number>
}

// Every fourth pick of a tenant with a late batch goes by fair share, so that a hopeless batch starves nobody.
const fairEvery = 4

/**
 * Chooses which chunks go next, by virtual token counters: the tenant served least, by its weight; within it a batch
 * that needs more time than it has left, earliest deadline first, else the batch served least. Who becomes active is
 * lifted to the least of the active, so that idling saves nothing up; on a tie, who has less outstanding goes first, so a
 * new ten-line batch goes before the next chunk of a million-line one.
 */
export function chooseReleases(options: {
  tenants: readonly TenantShare[]
  batches: readonly BatchShare[]
  window: Window
  picksMax: number
  nowMs: number
  /** Measured throughput of the lane; 0 when not known. */
  tokensPerSecond: number
  /** Picks made before, over all rounds. */
  turn: number
}): Choice {
  const choice: Choice = { picks: [], tenants: new Map(), batches: new Map() }
  const tenants = lift(options.tenants)
  const queues = new Map<string, Queue[]>()
  for (const tenant of tenants) {
    const own = lift(options.batches.filter((batch) => batch.tenantId === tenant.id))
    queues.set(
      tenant.id,
      own.map((batch) => ({ ...batch, next: 0, late: isLate(batch, options.tokensPerSecond, options.nowMs) })),
    )
  }
  let { chunks, tokens } = options.window
  while (choice.picks.length < options.picksMax) {
    if (chunks >= options.window.chunksMin && tokens >= options.window.tokensMax) break
    const ready = tenants.filter((tenant) => queues.get(tenant.id)?.some(hasNext))
    const tenant = least(ready)
    const batch = tenant && nextBatch(queues.get(tenant.id) ?? [], options.turn + choice.picks.length)
    const chunk = batch?.chunks[batch.next]
    if (!tenant || !batch || !chunk) break
    batch.next++
    chunks++
    tokens += chunk.estTokens
    charge(tenant, batch, chunk)
    choice.picks.push({ batchId: batch.id, index: chunk.index })
    choice.tenants.set(tenant.id, tenant.virtualTokens)
    choice.batches.set(batch.id, batch.virtualTokens)
  }
  return choice
}

interface Queue extends BatchShare {
  next: number
  late: boolean
}

interface Share {
  id: string
  virtualTokens: number
  outstandingTokens: number
}

const hasNext = (batch: Queue) => batch.next < batch.chunks.length

function lift<S extends Share>(shares: readonly S[]): S[] {
  const active = shares.filter((share) => share.outstandingTokens > 0).map((share) => share.virtualTokens)
  const floor = active.length > 0 ? Math.min(...active) : 0
  return shares.map((share) => ({
    ...share,
    virtualTokens: share.outstandingTokens > 0 ? share.virtualTokens : Math.max(share.virtualTokens, floor),
  }))
}

function least<S extends Share>(shares: readonly S[]): S | undefined {
  let best: S | undefined
  for (const share of shares) if (!best || isBefore(share, best)) best = share
  return best
}

function isBefore(a: Share, b: Share): boolean {
  if (a.virtualTokens !== b.virtualTokens) return a.virtualTokens < b.virtualTokens
  if (a.outstandingTokens !== b.outstandingTokens) return a.outstandingTokens < b.outstandingTokens
  return a.id < b.id
}

function nextBatch(queue: readonly Queue[], turn: number): Queue | undefined {
  const ready = queue.filter(hasNext)
  const late = ready.filter((batch) => batch.late).sort((a, b) => a.expiresAtMs - b.expiresAtMs)
  return turn % fairEvery === fairEvery - 1 ? least(ready) : (late[0] ?? least(ready))
}

function isLate(batch: BatchShare, tokensPerSecond: number, nowMs: number): boolean {
  if (tokensPerSecond <= 0) return false
  return (batch.remainingTokens / tokensPerSecond) * 1000 > batch.expiresAtMs - nowMs
}

function charge(tenant: TenantShare, batch: Queue, chunk: { estTokens: number; charged: boolean }): void {
  tenant.outstandingTokens += chunk.estTokens
  batch.outstandingTokens += chunk.estTokens
  if (chunk.charged) return
  tenant.virtualTokens += Math.ceil(chunk.estTokens / tenant.weight)
  batch.virtualTokens += chunk.estTokens
}
