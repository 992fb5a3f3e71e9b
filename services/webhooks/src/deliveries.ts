import type { Queryable, Row } from '@forebay/store'

/** One event on its way to one endpoint, claimed for one attempt. */
export interface Delivery {
  eventId: string
  endpointId: string
  /** From 1; also the claim's token: a later claim has a higher one. */
  attempt: number
  type: string
  data: unknown
  createdAt: Date
  url: string
  secret: string
}

/**
 * Makes a delivery for every enabled endpoint of the tenant that wants the event, for up to `eventsMax` events, all
 * or none. Returns how many events it took.
 */
export async function fanOutEvents(db: Queryable, options: { nowMs: number; eventsMax: number }): Promise<number> {
  const rows = await db.query(
    `WITH open AS (
       SELECT id, tenant_id, type FROM events WHERE fanned_out_at IS NULL
       ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
     ), made AS (
       INSERT INTO webhook_deliveries (event_id, endpoint_id, next_at)
       SELECT open.id, endpoint.id, $1 FROM open
       JOIN webhook_endpoints endpoint ON endpoint.tenant_id = open.tenant_id AND endpoint.disabled_at IS NULL
         AND (cardinality(endpoint.events) = 0 OR open.type = ANY (endpoint.events))
       ON CONFLICT DO NOTHING
     )
     UPDATE events SET fanned_out_at = $1 FROM open WHERE events.id = open.id RETURNING events.id`,
    [new Date(options.nowMs), options.eventsMax],
  )
  return rows.length
}

/**
 * Claims up to `max` due deliveries for this replica until `leaseUntilMs`; if it is not settled by then, another
 * claims it. Takes turns between endpoints, and no more of one than `perEndpointMax` less what `inFlight` has of it.
 */
export async function claimDeliveries(
  db: Queryable,
  options: {
    nowMs: number
    leaseUntilMs: number
    max: number
    perEndpointMax: number
    inFlight: ReadonlyMap<string, number>
  },
): Promise<Delivery[]> {
  const rows = await db.query<DeliveryRow>(
    `WITH ranked AS (
       SELECT d.event_id, d.endpoint_id, row_number() OVER (PARTITION BY d.endpoint_id ORDER BY d.next_at) AS turn
       FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.disabled_at IS NULL
       WHERE d.status = 'pending' AND d.next_at <= $1
     ), due AS (
       SELECT d.event_id, d.endpoint_id FROM webhook_deliveries d JOIN ranked USING (event_id, endpoint_id)
       WHERE d.status = 'pending' AND d.next_at <= $1
         AND ranked.turn <= $3 - coalesce(($4::jsonb ->> d.endpoint_id)::integer, 0)
       ORDER BY ranked.turn, d.next_at LIMIT $5 FOR UPDATE OF d SKIP LOCKED
     )
     UPDATE webhook_deliveries d SET next_at = $2, attempts = d.attempts + 1
     FROM due, events, webhook_endpoints endpoint
     WHERE d.event_id = due.event_id AND d.endpoint_id = due.endpoint_id
       AND events.id = due.event_id AND endpoint.id = due.endpoint_id
     RETURNING d.event_id, d.endpoint_id, d.attempts, events.type, events.data, events.created_at,
       endpoint.url, endpoint.secret`,
    [
      new Date(options.nowMs),
      new Date(options.leaseUntilMs),
      options.perEndpointMax,
      JSON.stringify(Object.fromEntries(options.inFlight)),
      options.max,
    ],
  )
  return rows.map((row) => ({
    eventId: row.event_id,
    endpointId: row.endpoint_id,
    attempt: row.attempts,
    type: row.type,
    data: row.data,
    createdAt: row.created_at,
    url: row.url,
    secret: row.secret,
  }))
}

/** Gives a claim back untried: it is due at once and the attempt does not count. */
export async function returnDelivery(db: Queryable, delivery: Delivery, nowMs: number): Promise<void> {
  await db.query(
    `UPDATE webhook_deliveries SET next_at = $4, attempts = attempts - 1
     WHERE event_id = $1 AND endpoint_id = $2 AND attempts = $3 AND status = 'pending'`,
    [delivery.eventId, delivery.endpointId, delivery.attempt, new Date(nowMs)],
  )
}

interface DeliveryRow extends Row {
  event_id: string
  endpoint_id: string
  attempts: number
  type: string
  data: unknown
  created_at: Date
  url: string
  secret: string
}
