import { type Clock, newId } from '@forebay/kernel'
import type { Database, Row } from '@forebay/store'
import { afterSample, type Trust, type TrustRules, untried } from './trust.ts'

/** How far each tenant's cache of each model is trusted, shared by all gateways. */
export interface TrustBook {
  of(tenantId: string, model: string): Promise<Trust>
  /** Counts a sample and answers what holds now. A stop is told in an event, in the same transaction. */
  sample(tenantId: string, model: string, wrong: boolean): Promise<Trust>
}

const keptMs = 2_000

/** A book in Postgres. What it read is kept for 2 s. */
export function makeTrustBook(options: {
  db: Pick<Database, 'query' | 'tx'>
  clock: Clock
  rules: TrustRules
}): TrustBook {
  const { clock, db, rules } = options
  const known = new Map<string, { trust: Trust; atMs: number }>()
  const keep = (tenantId: string, model: string, trust: Trust): Trust => {
    if (known.size > 10_000) known.clear()
    known.set(`${tenantId} ${model}`, { trust, atMs: clock.now() })
    return trust
  }
  return {
    of: async (tenantId, model) => {
      const kept = known.get(`${tenantId} ${model}`)
      if (kept && clock.now() - kept.atMs < keptMs) return kept.trust
      const [row] = await db.query<Trust & Row>(
        'SELECT state, samples, errors FROM semantic_trust WHERE tenant_id = $1 AND model = $2',
        [tenantId, model],
      )
      return keep(tenantId, model, row ?? untried)
    },
    sample: (tenantId, model, wrong) =>
      db.tx(async (tx) => {
        await tx.query('INSERT INTO semantic_trust (tenant_id, model) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
          tenantId,
          model,
        ])
        const [row] = await tx.query<Trust & Row>(
          'SELECT state, samples, errors FROM semantic_trust WHERE tenant_id = $1 AND model = $2 FOR UPDATE',
          [tenantId, model],
        )
        const before = row ?? untried
        const after = afterSample(before, wrong, rules)
        await tx.query(
          `UPDATE semantic_trust SET state = $3, samples = $4, errors = $5, updated_at = now()
           WHERE tenant_id = $1 AND model = $2`,
          [tenantId, model, after.state, after.samples, after.errors],
        )
        if (after.state === 'stopped' && before.state !== 'stopped') {
          const { errors, samples } = after
          await tx.query('INSERT INTO events (id, tenant_id, type, data) VALUES ($1, $2, $3, $4)', [
            ...[newId('evt_', clock.now()), tenantId, 'cache.semantic_stopped'],
            JSON.stringify({ model, samples, errors }),
          ])
        }
        return keep(tenantId, model, after)
      }),
  }
}
