import { systemClock } from '@forebay/kernel'
import type { QueueDriver } from '@forebay/queue-port'
import { expect, it } from 'vitest'
import {
  briefLeaseMs,
  codeOf,
  expectDepth,
  type Harness,
  leaseMs,
  message,
  messages,
  receiveBriefly,
  receiveOne,
  redelivered,
} from './harness.ts'

/** Leases: acknowledging, giving back, extending, losing. */
export function leaseCases(h: () => Harness): void {
  const receiveOneBriefly = (queue: QueueDriver) => receiveOne(queue, 5_000, receiveBriefly)

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
    const queue = await h().brief()
    await queue.send([message('long')])
    const lease = await receiveOneBriefly(queue)
    const until = systemClock.now() + briefLeaseMs * 2.5
    while (systemClock.now() < until) {
      const leaseUntil = await queue.extend(lease, briefLeaseMs)
      expect(leaseUntil).toBe(lease.leaseUntil)
      expect(leaseUntil).toBeGreaterThan(systemClock.now() + briefLeaseMs / 2)
      expect(await receiveBriefly(h().elsewhere(queue), 1, briefLeaseMs / 3)).toEqual([])
    }
    expect(await queue.ack([lease])).toEqual([{ id: 'long', ok: true }])
  })

  it('leases for as long as asked, also when that is not its usual length', async (t) => {
    const queue = await h().brief()
    t.skip(queue.capabilities.leaseIsFixed, 'the driver declares leaseIsFixed: true')
    await queue.send([message('one')])
    const lease = await receiveOne(queue)
    expect(lease.leaseUntil).toBeGreaterThan(systemClock.now() + leaseMs / 2)
    expect(await receiveBriefly(queue, 1, briefLeaseMs * 1.8)).toEqual([])
  })

  it('delivers a lost message again, one attempt later, and tells the first holder so', async () => {
    const queue = await h().brief()
    const other = h().elsewhere(queue)
    await queue.send([message('one')])
    const stale = await receiveOneBriefly(queue)
    const again = await redelivered(h(), other)
    expect(again.id).toBe('one')
    expect(again.attempt).toBeGreaterThanOrEqual(2)
    // Said by the broker, or by the lease clock that the driver keeps in its place.
    expect(await codeOf(queue.extend(stale, briefLeaseMs))).toBe('lease_lost')
    expect(await codeOf(queue.nack(stale, { delayMs: 0 }))).toBe('lease_lost')
    expect(await codeOf(queue.deadLetter(stale, { code: 'late' }))).toBe('lease_lost')
    expect((await queue.ack([stale])).map((r) => (r.ok ? 'ok' : r.error.code))).toEqual(['lease_lost'])
    // None of that took it from its new holder.
    expect(await other.ack([again])).toEqual([{ id: 'one', ok: true }])
  })

  it('neither takes nor keeps more than its own on a machine whose clock is an hour off', async (t) => {
    t.skip(!h().expectations.network, 'the driver is within one process, which has one clock')
    const hourMs = 3_600_000
    if (h().expectations.refusesWrongClock) {
      const queue = await h().brief()
      await expect(h().onWrongClock(queue, hourMs)).rejects.toMatchObject({
        message: expect.stringMatching(/s ahead of/),
      })
      await expect(h().onWrongClock(queue, -hourMs)).rejects.toMatchObject({ code: 'config_invalid' })
      return
    }
    const holds = async (offMs: number) => {
      const queue = await h().brief()
      const off = await h().onWrongClock(queue, offMs)
      await queue.send([message('a'), message('b')])
      const [own, theirs] = [await receiveOneBriefly(queue), await receiveOneBriefly(off)]
      // Each keeps what it extends, and gets nothing of the other's.
      const until = systemClock.now() + briefLeaseMs * 1.5
      while (systemClock.now() < until) {
        await Promise.all([queue.extend(own, briefLeaseMs), off.extend(theirs, briefLeaseMs)])
        const got = await Promise.all([queue, off].map((each) => receiveBriefly(each, 2, briefLeaseMs / 4)))
        expect(got).toEqual([[], []])
      }
      expect(await queue.ack([own])).toEqual([{ id: own.id, ok: true }])
      // What it stops extending goes to another, and it learns so.
      const again = await redelivered(h(), queue)
      expect(again.id).toBe(theirs.id)
      expect(await codeOf(off.nack(theirs, { delayMs: 0 }))).toBe('lease_lost')
      expect(await queue.ack([again])).toEqual([{ id: again.id, ok: true }])
    }
    await Promise.all([holds(hourMs), holds(-hourMs)])
  })

  it('acknowledges and receives at once, and a lost lease takes nothing from what is received', async () => {
    const queue = await h().fresh()
    await queue.send(messages(3))
    const first = await receiveOne(queue)
    const [acked, second] = await Promise.all([queue.ack([first]), receiveOne(queue)])
    expect(acked).toEqual([{ id: first.id, ok: true }])
    const [refused, third] = await Promise.all([queue.ack([first]), receiveOne(queue)])
    expect(refused.map((r) => (r.ok ? 'ok' : r.error.code))).toEqual(['lease_lost'])
    expect(new Set([first.id, second.id, third.id]).size).toBe(3)
    await queue.ack([second, third])
    await expectDepth(h(), queue, {})
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
    const queue = await h().brief()
    await queue.send([message('one')])
    await receiveOneBriefly(queue)
    const second = await redelivered(h(), queue)
    expect(second.attempt).toBeGreaterThanOrEqual(2)
    await queue.nack(second, { delayMs: 20 })
    expect((await receiveOneBriefly(queue)).attempt).toBeGreaterThanOrEqual(3)
    expect((await redelivered(h(), queue)).attempt).toBeGreaterThanOrEqual(4)
  })
}
