import type { Database, Queryable } from '@forebay/store'
import type { Delivery } from './deliveries.ts'
import { retryDelayMs } from './retry-schedule.ts'
import type { Answer } from './sender.ts'

const failingMsMax = 5 * 24 * 60 * 60 * 1000

/** What became of a delivery after an attempt. */
export type Verdict = 'delivered' | 'retry' | 'failed' | 'disabled'

/**
 * Records one attempt. `retry`: it is due again later. `failed`: that was the last attempt. `disabled`: the endpoint
 * said 410, or has failed without a break for five days; nothing more goes to it. An answer that comes after the
 * claim lapsed still counts when it is a success.
 */
export async function recordAnswer(
  db: Database,
  options: { delivery: Delivery; answer: Answer; nowMs: number; random: () => number },
): Promise<Verdict> {
  const { delivery, answer, nowMs } = options
  return db.tx(async (tx) => {
    // The endpoint's row is locked first everywhere, so that two attempts at one endpoint cannot deadlock.
    const [endpoint] = await tx.query<{ failing_since: Date | null }>(
      'SELECT failing_since FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE',
      [delivery.endpointId],
    )
    if (answer.error === null) {
      await recordSuccess(tx, delivery, answer, nowMs)
      return 'delivered'
    }
    const delayMs = retryDelayMs(delivery.attempt, { retryAfterMs: answer.retryAfterMs, random: options.random })
    await tx.query(
      `UPDATE webhook_deliveries SET status = $4, next_at = $5, last_status = $6, last_error = $7
       WHERE event_id = $1 AND endpoint_id = $2 AND attempts = $3 AND status = 'pending'`,
      [
        delivery.eventId,
        delivery.endpointId,
        delivery.attempt,
        delayMs === undefined ? 'failed' : 'pending',
        new Date(nowMs + (delayMs ?? 0)),
        answer.status,
        answer.error,
      ],
    )
    const failingSinceMs = endpoint?.failing_since?.getTime() ?? nowMs
    await tx.query(
      'UPDATE webhook_endpoints SET failing_since = $2 WHERE id = $1 AND failing_since IS DISTINCT FROM $2',
      [delivery.endpointId, new Date(failingSinceMs)],
    )
    const reason =
      answer.status === 410
        ? 'It answered 410 Gone.'
        : nowMs - failingSinceMs >= failingMsMax
          ? 'It failed for five days.'
          : undefined
    if (reason !== undefined) {
      await disableEndpoint(tx, delivery.endpointId, reason, nowMs)
      return 'disabled'
    }
    return delayMs === undefined ? 'failed' : 'retry'
  })
}

async function recordSuccess(tx: Queryable, delivery: Delivery, answer: Answer, nowMs: number): Promise<void> {
  await tx.query(
    `UPDATE webhook_deliveries SET status = 'delivered', delivered_at = $3, last_status = $4, last_error = NULL
     WHERE event_id = $1 AND endpoint_id = $2 AND status = 'pending'`,
    [delivery.eventId, delivery.endpointId, new Date(nowMs), answer.status],
  )
  await tx.query('UPDATE webhook_endpoints SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL', [
    delivery.endpointId,
  ])
}

async function disableEndpoint(tx: Queryable, endpointId: string, reason: string, nowMs: number): Promise<void> {
  await tx.query(
    'UPDATE webhook_endpoints SET disabled_at = $2, disabled_reason = $3 WHERE id = $1 AND disabled_at IS NULL',
    [endpointId, new Date(nowMs), reason],
  )
  await tx.query(
    `UPDATE webhook_deliveries SET status = 'failed', last_error = coalesce(last_error, 'the endpoint was disabled')
     WHERE endpoint_id = $1 AND status = 'pending'`,
    [endpointId],
  )
}
