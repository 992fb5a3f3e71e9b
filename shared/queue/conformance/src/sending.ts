import { systemClock } from '@forebay/kernel'
import type { QueueDriver } from '@forebay/queue-port'
import { expect, it } from 'vitest'
import { expectDepth, type Harness, leaseMs, message, messages, receive, receiveOne } from './harness.ts'

/** Sending, receiving, waking up and delays. */
export function sendingCases(h: () => Harness): void {
  it('delivers a batch once each, never more than asked at a time, bodies and attributes unchanged', async () => {
    const queue = await h().fresh()
    const sent = [
      message('text', { attributes: { trace: 'a-1' } }),
      message('binary', { body: Uint8Array.from([0, 255, 128, 7]) }),
      message('nul', { body: new TextEncoder().encode('{"a":"\0 ü 漢 \u{1f600}"}') }),
      message('empty', { body: new Uint8Array() }),
      ...messages(21),
    ]
    const results = await queue.send(sent)
    expect(results).toEqual(sent.map(({ id }) => ({ id, ok: true })))
    const got = new Map<string, { body: number[]; attributes: object }>()
    while (got.size < sent.length) {
      const leases = await receive(queue, 4)
      expect(leases.length).toBeGreaterThan(0)
      expect(leases.length).toBeLessThanOrEqual(4)
      for (const { attributes, body, id } of leases) {
        expect(got.has(id)).toBe(false)
        got.set(id, { body: [...body], attributes })
      }
      await queue.ack(leases)
    }
    for (const { attributes = {}, body, id } of sent) expect(got.get(id)).toEqual({ body: [...body], attributes })
    expect(await receive(queue, 4, 0)).toEqual([])
  })

  it('says when and on which attempt a message came', async () => {
    const queue = await h().fresh()
    const before = systemClock.now()
    await queue.send([message('one')])
    const lease = await receiveOne(queue)
    expect(lease.attempt).toBe(1)
    expect(lease.enqueuedAt).toBeGreaterThanOrEqual(before - 1_000)
    expect(lease.enqueuedAt).toBeLessThanOrEqual(systemClock.now() + 1_000)
    expect(lease.leaseUntil).toBeGreaterThan(systemClock.now())
  })

  // Here and below the limit is far below what the waits would take that are to end early, those within a driver included.
  it('answers an empty queue after the wait, and an abort at once', { timeout: 20_000 }, async () => {
    const queue = await h().fresh()
    expect(await receive(queue, 1, 150)).toEqual([])
    const abort = new AbortController()
    const polling = queue.receive({ max: 1, waitMs: 30_000, leaseMs, signal: abort.signal })
    await roundTrip(await h().fresh())
    abort.abort()
    expect(await polling).toEqual([])
  })

  it('wakes a consumer that waits, by the send and not by the end of its wait', { timeout: 20_000 }, async () => {
    const queue = await h().fresh()
    const sender = h().elsewhere(queue)
    const beside = await h().fresh()
    for (let i = 0; i < 8; i++) {
      const woken = receiveOne(queue, 30_000)
      await roundTrip(beside)
      await sender.send([message(`wake-${i}`)])
      const lease = await woken
      expect(lease.id).toBe(`wake-${i}`)
      await queue.ack([lease])
    }
  })

  it('wakes one consumer per message', async () => {
    const queue = await h().fresh()
    const consumers = [receiveOne(queue), receiveOne(h().elsewhere(queue)), receiveOne(queue)]
    await queue.send(messages(3))
    const leases = await Promise.all(consumers)
    expect(leases.map((lease) => lease.id).sort()).toEqual(['m-0', 'm-1', 'm-2'])
  })

  it('wakes another consumer when one went away while waiting', { timeout: 20_000 }, async () => {
    const queue = await h().fresh()
    const beside = await h().fresh()
    const abort = new AbortController()
    const left = queue.receive({ max: 1, waitMs: 30_000, leaseMs, signal: abort.signal })
    await roundTrip(beside)
    const stays = receiveOne(h().elsewhere(queue), 30_000)
    await roundTrip(beside)
    abort.abort()
    await left
    await queue.send([message('one')])
    expect((await stays).id).toBe('one')
  })

  it('holds a delayed message back until it is due, and then wakes an idle consumer', { timeout: 20_000 }, async () => {
    const queue = await h().fresh()
    const sentAt = systemClock.now()
    await queue.send([message('later', { delayMs: 600 }), message('now')])
    const first = await receiveOne(queue)
    expect(first.id).toBe('now')
    await queue.ack([first])
    await expectDepth(h(), queue, { delayed: 1 })
    expect((await receiveOne(queue, 30_000)).id).toBe('later')
    expect(systemClock.now() - sentAt).toBeGreaterThanOrEqual(580)
  })

  it('refuses one message that is too big and sends its neighbours', async () => {
    const queue = await h().fresh()
    const big = message('big', { body: new Uint8Array(queue.capabilities.bodyBytesMax + 1) })
    const results = await queue.send([message('before'), big, message('after')])
    expect(results.map((r) => [r.id, r.ok ? 'ok' : r.error.code])).toEqual([
      ['before', 'ok'],
      ['big', 'queue_too_large'],
      ['after', 'ok'],
    ])
    await expectDepth(h(), queue, { visible: 2 })
  })

  it('takes a body of the largest size it declares', async () => {
    const queue = await h().fresh()
    const body = new TextEncoder().encode('x'.repeat(Math.min(queue.capabilities.bodyBytesMax, 4 * 1024 * 1024)))
    expect(await queue.send([message('full', { body })])).toEqual([{ id: 'full', ok: true }])
    const lease = await receiveOne(queue)
    expect(lease.body.byteLength).toBe(body.byteLength)
  })
}

/** A message's way beside a wait that has begun: in that time the wait gets as far as the broker. */
async function roundTrip(beside: QueueDriver): Promise<void> {
  await beside.send([message('beside')])
  await beside.ack([await receiveOne(beside)])
}
