import { systemClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { codeOf, expectDepth, type Harness, leaseMs, message, receive, receiveOne } from './harness.ts'

/** Leases: acknowledging, giving back, extending, losing. */
export function leaseCases(h: () => Harness): void {
  const redelivered = async (h: Harness, queue: Awaited<ReturnType<Harness['fresh']>>) =>
    eventually(async () => (await receive(queue, 1, 500))[0], {
      timeoutMs: leaseMs + h.expectations.redeliveryMsMax,
      what: 'a message whose lease ended',
    })

  it('removes an acknowledged message for good', async () => {
    const queue = await h().fresh()
    await queue.send([message('one')])
    const lease = await receiveOne(queue)
    expect(await queue.ack([lease])).toEqual([{ id: 'one', ok: true }])
    await expectDepth(h(), queue, {})
  })

  it('gives a message back at once, one attempt later', async () => {
    const queue = await h().fresh()
    await queue.send([message('one')])
    for (const attempt of [1, 2, 3]) {
      const lease = await receiveOne(queue)
      expect(lease.attempt).toBe(attempt)
      await queue.nack(lease, { delayMs: 0 })
    }
  })

  it('gives a message back after a delay, one attempt later', async () => {
    const queue = await h().fresh()
    await queue.send([message('one')])
    const nackedAt = systemClock.now()
    await queue.nack(await receiveOne(queue), { delayMs: 500 })
    await expectDepth(h(), queue, { delayed: 1 })
    const again = await receiveOne(queue)
    expect(again.attempt).toBe(2)
    expect(systemClock.now() - nackedAt).toBeGreaterThanOrEqual(480)
  })

  it('gives a message back without using up an attempt, at once or later', async (t) => {
    const queue = await h().fresh()
    t.skip(!queue.capabilities.uncountedNack, 'the driver declares uncountedNack: false')
    await queue.send([message('one')])
    for (const delayMs of [0, 30, 0, 30]) {
      const lease = await receiveOne(queue)
      expect(lease.attempt).toBe(1)
      await queue.nack(lease, { delayMs, counted: false })
    }
    await queue.nack(await receiveOne(queue), { delayMs: 0 })
    expect((await receiveOne(queue)).attempt).toBe(2)
  })

  it('keeps a message leased over several leases while it is extended', async () => {
    const queue = await h().fresh()
    await queue.send([message('long')])
    const lease = await receiveOne(queue)
    const until = systemClock.now() + leaseMs * 2.5
    while (systemClock.now() < until) {
      const leaseUntil = await queue.extend(lease, leaseMs)
      expect(leaseUntil).toBe(lease.leaseUntil)
      expect(leaseUntil).toBeGreaterThan(systemClock.now() + leaseMs / 2)
      expect(await receive(h().elsewhere(queue), 1, leaseMs / 3)).toEqual([])
    }
    expect(await queue.ack([lease])).toEqual([{ id: 'long', ok: true }])
  })

  it('leases for as long as asked, also when that is not its usual length', async (t) => {
    const queue = await h().fresh()
    t.skip(queue.capabilities.leaseIsFixed, 'the driver declares leaseIsFixed: true')
    await queue.send([message('one')])
    const [lease] = await queue.receive({ max: 1, waitMs: 1_000, leaseMs: leaseMs * 3 })
    expect(lease?.leaseUntil).toBeGreaterThan(systemClock.now() + leaseMs * 2)
    expect(await receive(queue, 1, leaseMs * 1.8)).toEqual([])
  })

  it('delivers a lost message again, one attempt later, and tells the first holder so', async () => {
    const queue = await h().fresh()
    const other = h().elsewhere(queue)
    await queue.send([message('one')])
    const stale = await receiveOne(queue)
    const again = await redelivered(h(), other)
    expect(again.id).toBe('one')
    expect(again.attempt).toBeGreaterThanOrEqual(2)
    // Said by the broker, or by the lease clock that the driver keeps in its place.
    expect(await codeOf(queue.extend(stale, leaseMs))).toBe('lease_lost')
    expect(await codeOf(queue.nack(stale, { delayMs: 0 }))).toBe('lease_lost')
    expect(await codeOf(queue.deadLetter(stale, { code: 'late' }))).toBe('lease_lost')
    expect((await queue.ack([stale])).map((r) => (r.ok ? 'ok' : r.error.code))).toEqual(['lease_lost'])
    // None of that took it from its new holder.
    expect(await other.ack([again])).toEqual([{ id: 'one', ok: true }])
  })

  it('refuses to settle a message twice', async () => {
    const queue = await h().fresh()
    await queue.send([message('one')])
    const lease = await receiveOne(queue)
    await queue.ack([lease])
    expect((await queue.ack([lease])).map((r) => (r.ok ? 'ok' : r.error.code))).toEqual(['lease_lost'])
    expect(await codeOf(queue.nack(lease, { delayMs: 0 }))).toBe('lease_lost')
  })

  it('never under-counts attempts over losses and give-backs', async () => {
    const queue = await h().fresh()
    await queue.send([message('one')])
    await receiveOne(queue)
    const second = await redelivered(h(), queue)
    expect(second.attempt).toBeGreaterThanOrEqual(2)
    await queue.nack(second, { delayMs: 20 })
    expect((await receiveOne(queue)).attempt).toBeGreaterThanOrEqual(3)
    expect((await redelivered(h(), queue)).attempt).toBeGreaterThanOrEqual(4)
  })
}
