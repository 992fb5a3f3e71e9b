import { ManualClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { claimDeliveries, fanOutEvents } from './deliveries.ts'
import { attemptDelaysMs } from './retry-schedule.ts'
import { openBench, secret, startReceiver } from './testing/bench.ts'

describe('startWebhooks', () => {
  let clock: ManualClock
  let bench: Awaited<ReturnType<typeof openBench>>
  let receivers: Awaited<ReturnType<typeof startReceiver>>[]
  const receiver = async (...args: Parameters<typeof startReceiver>) => {
    const started = await startReceiver(...args)
    receivers.push(started)
    return started
  }
  /** Waits for the delivery's attempt to be recorded. */
  const settled = async (event: string, endpoint: string, attempts: number) => {
    const row = await eventually(
      async () => {
        const now = await bench.delivery(event, endpoint)
        return now?.attempts === attempts && (now.last_error !== null || now.status !== 'pending') ? now : undefined
      },
      { what: `attempt ${attempts} to be recorded` },
    )
    // An attempt counts from its claim on: what the one before left must not pass for its result.
    await bench.db.query('UPDATE webhook_deliveries SET last_error = NULL WHERE event_id = $1', [event])
    return row
  }
  /** Moves time on in small steps, since what a step sets off needs real time for the network and the database. */
  const advanceUntil = (what: string, fn: () => unknown) =>
    eventually(
      async () => {
        if (await fn()) return true
        await clock.advance(500)
        return false
      },
      { what },
    )

  beforeEach(async () => {
    clock = new ManualClock(Date.now())
    bench = await openBench(clock)
    receivers = []
  })
  afterEach(async () => {
    await bench.close()
    await Promise.all(receivers.map((one) => one.stop()))
  })

  it('delivers a signed OpenAI event to the endpoints of the tenant that want it, once', async () => {
    const hook = await receiver()
    await bench.start()
    const all = await bench.endpoint(`${hook.url}?who=all`)
    await bench.endpoint(`${hook.url}?who=wants`, { events: ['batch.completed', 'batch.failed'] })
    await bench.endpoint(`${hook.url}?who=wants-other`, { events: ['batch.failed'] })
    const disabled = await bench.endpoint(`${hook.url}?who=disabled`)
    await bench.db.query('UPDATE webhook_endpoints SET disabled_at = now() WHERE id = $1', [disabled])
    await bench.db.query(`INSERT INTO tenants (id, name) VALUES ('other', 'other')`)
    await bench.endpoint(`${hook.url}?who=other-tenant`, { tenantId: 'other' })

    const id = await bench.event()
    await settled(id, all, 1)
    await eventually(() => hook.received.length >= 2, { what: 'both endpoints to be called' })
    expect(hook.received.map((got) => got.path).sort()).toEqual(['/hook?who=all', '/hook?who=wants'])
    const got = hook.received[0]
    const event = new Webhook(secret).verify(got?.body ?? '', got?.headers ?? {})
    expect(event).toEqual({
      id,
      object: 'event',
      created_at: expect.any(Number),
      type: 'batch.completed',
      data: { id: 'batch_1' },
    })
    expect(got?.headers).toMatchObject({
      'webhook-id': id,
      'user-agent': 'Forebay-Webhooks',
      'content-type': 'application/json',
    })
    expect((await bench.delivery(id, all))?.status).toBe('delivered')
  })

  it('retries on the schedule with the same id, then gives up', async () => {
    const receivedAtMs: number[] = []
    const hook = await receiver((res) => {
      receivedAtMs.push(clock.now())
      res.writeHead(500).end()
    })
    await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    const id = await bench.event()
    for (let attempt = 1; attempt <= attemptDelaysMs.length; attempt++) {
      await advanceUntil(`attempt ${attempt}`, () => hook.received.length === attempt)
      const last = attempt === attemptDelaysMs.length
      expect(await settled(id, endpoint, attempt)).toMatchObject({
        last_status: 500,
        status: last ? 'failed' : 'pending',
      })
      await clock.advance((attemptDelaysMs[attempt] ?? 0) - 2_000)
    }
    expect(new Set(hook.received.map((got) => got.headers['webhook-id']))).toEqual(new Set([id]))
    for (let attempt = 1; attempt < attemptDelaysMs.length; attempt++) {
      const waitedMs = (receivedAtMs[attempt] ?? 0) - (receivedAtMs[attempt - 1] ?? 0)
      expect(waitedMs).toBeGreaterThanOrEqual(attemptDelaysMs[attempt] ?? 0)
      expect(waitedMs).toBeLessThan((attemptDelaysMs[attempt] ?? 0) + 15_000)
    }
  })

  it('honours Retry-After upwards', async () => {
    const hook = await receiver((res) => res.writeHead(503, { 'retry-after': '3600' }).end())
    await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    const row = await settled(await bench.event(), endpoint, 1)
    expect(row.next_at.getTime()).toBe(clock.now() + 3_600_000)
  })

  it('counts a redirect as a failure and does not follow it', async () => {
    const inside = await receiver()
    const hook = await receiver((res) => res.writeHead(302, { location: inside.url }).end())
    await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    const row = await settled(await bench.event(), endpoint, 1)
    expect(row).toMatchObject({ status: 'pending', last_status: 302, last_error: expect.stringContaining('redirect') })
    expect(inside.connections()).toBe(0)
  })

  it('disables an endpoint that answers 410 and sends it nothing more', async () => {
    const hook = await receiver((res) => res.writeHead(410).end())
    const endpoint = await bench.endpoint(hook.url)
    const id = await bench.event()
    await bench.start()
    expect(await settled(id, endpoint, 1)).toMatchObject({ status: 'failed', last_status: 410 })
    const [row] = await bench.db.query('SELECT disabled_reason FROM webhook_endpoints WHERE id = $1', [endpoint])
    expect(row?.['disabled_reason']).toMatch(/410/)
    const later = await bench.event()
    await eventually(
      async () =>
        (await bench.db.query('SELECT 1 FROM events WHERE id = $1 AND fanned_out_at IS NOT NULL', [later])).length,
      { what: 'the later event to be looked at' },
    )
    expect(await bench.delivery(later, endpoint)).toBeUndefined()
    expect(hook.received).toHaveLength(1)
  })

  it('disables an endpoint that failed for five days, and forgets the failing after a success', async () => {
    let status = 500
    const hook = await receiver((res) => res.writeHead(status).end())
    await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    const state = async () =>
      (
        await bench.db.query(
          'SELECT disabled_at, disabled_reason, failing_since FROM webhook_endpoints WHERE id = $1',
          [endpoint],
        )
      )[0]
    await settled(await bench.event(), endpoint, 1)
    expect((await state())?.['failing_since']).toEqual(new Date(clock.now()))
    status = 200
    await advanceUntil('the failing to be forgotten', async () => (await state())?.['failing_since'] === null)
    status = 500
    await settled(await bench.event(), endpoint, 1)
    await clock.advance(5 * 24 * 3_600_000)
    await advanceUntil('the endpoint to be disabled', async () => (await state())?.['disabled_at'])
    expect((await state())?.['disabled_reason']).toMatch(/five days/)
  })

  it('lets an endpoint that hangs hurt only itself', async () => {
    const hanging = await receiver(() => {})
    const hook = await receiver()
    const slow = await bench.endpoint(hanging.url)
    await bench.endpoint(hook.url)
    for (let i = 0; i < 20; i++) await bench.event()
    await bench.start()
    await eventually(() => hook.received.length === 20, { what: 'the other endpoint to get everything' })
    expect(hanging.received.length).toBeLessThanOrEqual(4)
    await eventually(() => hanging.received.length === 4, { what: 'the hanging endpoint to be called' })
    await clock.advance(15_000)
    const timedOut = () =>
      bench.db.query(`SELECT 1 FROM webhook_deliveries WHERE endpoint_id = $1 AND last_error LIKE '%within 15000 ms'`, [
        slow,
      ])
    await eventually(async () => (await timedOut()).length >= 4, { what: 'the attempts to time out' })
  })

  it('ends an attempt whose answer drips beyond the time', async () => {
    const hook = await receiver((res) => {
      res.writeHead(200)
      const drip = setInterval(() => res.write('.'), 20)
      res.on('close', () => clearInterval(drip))
    })
    await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    const id = await bench.event()
    await eventually(() => hook.received.length === 1, { what: 'the attempt' })
    await clock.advance(15_000)
    expect(await settled(id, endpoint, 1)).toMatchObject({ status: 'pending', last_status: null })
  })

  it('cuts an endless answer off and goes by its status', async () => {
    let closed = false
    const hook = await receiver((res) => {
      res.writeHead(200)
      const pump = () => {
        while (!closed && res.write('x'.repeat(16_384)));
      }
      res.on('drain', pump).on('close', () => {
        closed = true
      })
      pump()
    })
    await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    expect(await settled(await bench.event(), endpoint, 1)).toMatchObject({ status: 'delivered', last_status: 200 })
    await eventually(() => closed, { what: 'the connection to be closed' })
  })

  it('delivers each event once when two replicas run', async () => {
    const hook = await receiver()
    await bench.endpoint(hook.url)
    await bench.endpoint(`${hook.url}?second`)
    await Promise.all([bench.start(), bench.start()])
    const ids = await Promise.all(Array.from({ length: 40 }, () => bench.event()))
    await eventually(
      async () => (await bench.db.query(`SELECT 1 FROM webhook_deliveries WHERE status = 'delivered'`)).length === 80,
      { what: 'all deliveries' },
    )
    expect(hook.received).toHaveLength(80)
    const got = hook.received.map((one) => `${one.headers['webhook-id']} ${one.path}`)
    expect(new Set(got).size).toBe(80)
    expect(got.every((one) => ids.some((id) => one.startsWith(id)))).toBe(true)
  })

  it('delivers again, with the same id, what a killed replica had claimed', async () => {
    const hook = await receiver()
    const endpoint = await bench.endpoint(hook.url)
    const id = await bench.event()
    await fanOutEvents(bench.db, { nowMs: clock.now(), eventsMax: 10 })
    const claim = {
      nowMs: clock.now(),
      leaseUntilMs: clock.now() + 45_000,
      max: 10,
      perEndpointMax: 4,
      inFlight: new Map(),
    }
    expect(await claimDeliveries(bench.db, claim)).toHaveLength(1)
    expect(await claimDeliveries(bench.db, claim)).toHaveLength(0)
    await bench.start()
    await clock.advance(44_000)
    expect(hook.received).toHaveLength(0)
    await advanceUntil('the second attempt', () => hook.received.length === 1)
    expect(await settled(id, endpoint, 2)).toMatchObject({ status: 'delivered' })
    expect(hook.received[0]?.headers['webhook-id']).toBe(id)
  })

  it('gives back on stop what is under way, due at once and not counted', async () => {
    const hook = await receiver(() => {})
    const endpoint = await bench.endpoint(hook.url)
    const replica = await bench.start()
    const id = await bench.event()
    await eventually(() => hook.received.length === 1, { what: 'the attempt' })
    const stopping = replica.stop()
    await eventually(
      async () => {
        await clock.advance(10)
        return (await bench.delivery(id, endpoint))?.attempts === 0
      },
      { what: 'the delivery to be given back' },
    )
    await stopping
    expect((await bench.delivery(id, endpoint))?.next_at.getTime()).toBeLessThanOrEqual(clock.now())
  })

  it('counts attempts by what became of them', async () => {
    const hook = await receiver()
    const { registry } = await bench.start()
    const endpoint = await bench.endpoint(hook.url)
    await settled(await bench.event(), endpoint, 1)
    await eventually(
      async () => (await registry.metrics()).includes('forebay_webhook_attempts_total{verdict="delivered"} 1'),
      { what: 'the metric' },
    )
  })
})
