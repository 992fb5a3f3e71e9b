import { newId } from '@forebay/kernel'
import type { Queryable } from '@forebay/store'
import { type Rollout, rolloutColumns } from './rollout.ts'

/** A move of a rollout: to another weight, or to its end. */
export interface RolloutMove {
  readonly state: Rollout['state']
  readonly weight: number
  /** One sentence. */
  readonly reason: string
  readonly by: 'admin' | 'forebay'
}

/**
 * Within a transaction: makes a move, if the rollout is still as it was seen, keeps it on record, tells the outbox
 * (`rollout.stepped`, `rollout.promoted`, `rollout.rolled_back`) and wakes the release of chunks. Undefined, with nothing
 * done, when somebody else moved it meanwhile.
 */
export async function moveRollout(
  tx: Queryable,
  options: { seen: Pick<Rollout, 'id' | 'state' | 'weight'>; move: RolloutMove; figures?: unknown; nowMs: number },
): Promise<Rollout | undefined> {
  const { figures, move, nowMs, seen } = options
  const [moved] = await tx.query<Rollout>(
    `UPDATE rollouts SET state = $4, weight = $5, reason = $6, stepped_at = now(),
       figures = coalesce($7, figures), ended_at = CASE WHEN $4 <> 'running' THEN now() END
     WHERE id = $1 AND state = $2 AND weight = $3 RETURNING ${rolloutColumns}`,
    [seen.id, seen.state, seen.weight, move.state, move.weight, move.reason, figures ? JSON.stringify(figures) : null],
  )
  if (moved) await recordMove(tx, moved, { move, type: eventOf(move), nowMs })
  return moved
}

/** Within the transaction that inserts a rollout: its first move, told as `rollout.started`. */
export async function recordStart(tx: Queryable, rollout: Rollout, nowMs: number): Promise<void> {
  const { reason, state, weight } = rollout
  await recordMove(tx, rollout, { move: { state, weight, reason, by: 'admin' }, type: 'rollout.started', nowMs })
}

async function recordMove(
  tx: Queryable,
  rollout: Rollout,
  told: { move: RolloutMove; type: string; nowMs: number },
): Promise<void> {
  const { move, nowMs, type } = told
  const { by, reason, state, weight } = move
  const { fromVersion: from, id, model, tenantId, toVersion: to } = rollout
  await tx.query('INSERT INTO rollout_moves (rollout_id, by, state, weight, reason) VALUES ($1, $2, $3, $4, $5)', [
    ...[id, by, state, weight, reason],
  ])
  await tx.query('INSERT INTO events (id, tenant_id, type, data) VALUES ($1, $2, $3, $4)', [
    ...[newId('evt_', nowMs), tenantId, type],
    JSON.stringify({ id, model, from, to, state, weight, reason }),
  ])
  await tx.query("SELECT pg_notify('forebay_events', '')")
  await tx.query("SELECT pg_notify('forebay_batches', '')")
}

function eventOf({ state }: RolloutMove): string {
  return state === 'running' ? 'rollout.stepped' : `rollout.${state}`
}
