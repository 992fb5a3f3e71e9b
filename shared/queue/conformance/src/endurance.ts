import { silentLogger, systemClock } from '@forebay/kernel'
import { JobReceiver, makeJsonCodec } from '@forebay/queue-core'
import type { QueueDriver } from '@forebay/queue-port'
import { eventually } from '@forebay/test-support'
import { expect, it } from 'vitest'
import {
  briefLeaseMs,
  codeOf,
  expectDepth,
  type Harness,
  leaseMs,
  message,
  messages,
  receive,
  receiveBriefly,
  receiveOne,
} from './harness.ts'

// `npm run test:conformance` asks for 5,000; among all other tests, on a busy machine, fewer must do.
const total = Number(process.env['FOREBAY_CONFORMANCE_MESSAGES'] ?? 2_000)
const endMs = Math.max(45_000, total * 25)

/** Many messages, cut connections, throttling and shutting down. */
export function enduranceCases(h: () => Harness): void {
  it(
    `delivers ${total} messages to four consumers, each once`,
    async () => {
      const queue = await h().fresh()
      const other = h().elsewhere(queue)
      const seen = new Map<string, number>()
      const failures: unknown[] = []
      // A consumer that fails, or a message that never comes, ends all of them.
      const stop = AbortSignal.timeout(endMs)
      const consume = async (driver: QueueDriver) => {
        while (seen.size < total && failures.length === 0 && !stop.aborted) {
          const leases = await driver.receive({ max: 100, waitMs: 200, leaseMs })
          for (const { id } of leases) seen.set(id, (seen.get(id) ?? 0) + 1)
          failures.push(...(await driver.ack(leases)).filter(({ ok }) => !ok))
        }
      }
      const consumers = Promise.all(
        [queue, other, queue, other].map((driver) => consume(driver).catch((err: unknown) => failures.push(err))),
      )
      for (let from = 0; from < total; from += 1_000) await queue.send(messages(1_000, `m${from}`))
      await consumers
      expect(failures).toEqual([])
      expect(seen.size).toBe(total)
      expect([...seen.values()].filter((times) => times > 1).length).toBe(0)
      await expectDepth(h(), queue, {})
    },
    endMs + 15_000,
  )

  it('loses nothing when every connection is cut mid-work', async (t) => {
    const { cutConnections } = h().expectations
    if (!cutConnections) return t.skip('this driver has no connection to cut')
    const queue = await h().brief()
    const done = new Set<string>()
    const stop = new AbortController()
    const consume = async (driver: QueueDriver) => {
      while (!stop.signal.aborted) {
        try {
          for (const result of await driver.ack(await receiveBriefly(driver, 5, 500)))
            if (result.ok) done.add(result.id)
        } catch {
          await nextTurn()
        }
      }
    }
    const consumers = [queue, h().elsewhere(queue)].map(consume)
    const sent = new Set<string>()
    for (let i = 0; i < 200; i++) {
      if (i === 60 || i === 130) await cutConnections()
      await eventually(
        async () => {
          const [result] = await queue.send([message(`cut-${i}`)])
          if (result && !result.ok) expect(['unavailable', 'overloaded']).toContain(result.error.code)
          return result?.ok
        },
        { what: 'the broker to take messages again' },
      )
      sent.add(`cut-${i}`)
    }
    await eventually(() => [...sent].every((id) => done.has(id)), { timeoutMs: 15_000, what: 'every message sent' })
    stop.abort()
    await Promise.all(consumers)
  })

  it('loses nothing when the broker throttles mid-work, and says so', async (t) => {
    const { throttle } = h().expectations
    if (!throttle) return t.skip('this broker does not throttle')
    const queue = await h().brief()
    const done = new Map<string, number>()
    const stop = new AbortController()
    const codes = new Set<string>()
    const consume = async (driver: QueueDriver) => {
      while (!stop.signal.aborted) {
        try {
          for (const result of await driver.ack(await receiveBriefly(driver, 25, 300))) {
            if (result.ok) done.set(result.id, (done.get(result.id) ?? 0) + 1)
            else codes.add(result.error.code)
          }
        } catch (err) {
          codes.add(err instanceof Error && 'code' in err ? String(err.code) : String(err))
          await nextTurn()
        }
      }
    }
    const consumers = [queue, h().elsewhere(queue)].map(consume)
    let waiting = messages(100, 'throttled')
    throttle(20)
    await eventually(
      async () => {
        const results = await queue.send(waiting)
        for (const result of results) if (!result.ok) codes.add(result.error.code)
        waiting = waiting.filter((_, i) => !results[i]?.ok)
        return waiting.length === 0
      },
      { timeoutMs: 30_000, what: 'the broker to take every message' },
    )
    throttle(0)
    await eventually(() => done.size === 100, { timeoutMs: 15_000, what: 'every message sent' })
    stop.abort()
    await Promise.all(consumers)
    // Settling may have failed beyond a lease's end: then the message came again.
    for (const code of codes) expect(['overloaded', 'lease_lost']).toContain(code)
  }, 60_000)

  // The limit is far below what the wait would take.
  it('closes while a consumer waits, and refuses work afterwards', { timeout: 20_000 }, async () => {
    const provider = await h().provider()
    const queue = provider.queue('closing')
    await queue.ensure()
    const waiting = receive(queue, 1, 45_000)
    await provider.close()
    await provider.close()
    expect(await waiting).toEqual([])
    const [result] = await queue.send([message('late')])
    expect(result?.ok ? 'ok' : result?.error.code).toBe('unavailable')
    expect(await receive(queue, 1, 0).catch(() => [])).toEqual([])
  })

  it('leaves nothing stuck after a consumer stopped in good order', async () => {
    const queue = await h().fresh()
    const receiver = new JobReceiver({
      driver: queue,
      codec: makeJsonCodec({ parse: (value: unknown) => value }),
      clock: systemClock,
      logger: silentLogger,
      leaseMs: 30_000,
      maxAttempts: 5,
    })
    await queue.send(messages(10))
    const [first] = await receiver.receive({ max: 6, waitMs: 5_000 })
    if (!first) throw new Error('no job arrived')
    await receiver.settle(first, { kind: 'done' })
    const polling = receiver.receive({ max: 1, waitMs: 0 })
    await receiver.stop()
    const handedOut = await polling
    // Given back at once, not when a lease of 30 s ends; the attempt unused where the broker can.
    const rest = new Map<string, number>()
    await eventually(
      async () => {
        for (const lease of await receive(queue, 10, 200)) rest.set(lease.id, lease.attempt)
        return rest.size === 9
      },
      { timeoutMs: 4_000, what: `the other nine jobs (${handedOut.length} handed out)` },
    )
    if (queue.capabilities.uncountedNack) expect(new Set(rest.values())).toEqual(new Set([1]))
    expect(await codeOf(receiver.receive({ max: 1, waitMs: 0 }))).toBe('unavailable')
  })

  it('keeps a job held by a living receiver, however long it takes', async () => {
    const queue = await h().brief()
    const receiver = new JobReceiver({
      driver: queue,
      codec: makeJsonCodec({ parse: (value: unknown) => value }),
      clock: systemClock,
      logger: silentLogger,
      leaseMs: briefLeaseMs,
      maxAttempts: 5,
    })
    await queue.send([message('long')])
    const [job] = await receiver.receive({ max: 1, waitMs: 5_000 })
    if (!job) throw new Error('no job arrived')
    expect(await receiveBriefly(h().elsewhere(queue), 1, briefLeaseMs * 2.2)).toEqual([])
    expect(job.lost.aborted).toBe(false)
    await receiver.settle(job, { kind: 'retry', delayMs: 0 })
    const again = await receiveOne(queue)
    expect(again.attempt).toBe(2)
    await receiver.stop()
  })
}

/** Lets what is under way go on, a broker that comes back included. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
