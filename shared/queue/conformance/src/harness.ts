import type { Lease, OutboundMessage, QueueDepth, QueueDriver, QueueProvider } from '@forebay/queue-port'
import { eventually } from '@forebay/test-support'
import { expect } from 'vitest'

/** How long the suite's leases are: they outlast a pause of a busy machine. */
export const leaseMs = 15_000
/** The same where it is tested how a lease ends, or is kept from ending. */
export const briefLeaseMs = 1_000

/** What the suite must find a driver to be; everything it skips, it skips by the driver's declared capabilities. */
export interface DriverExpectations {
  /** The driver reaches its broker over a network: a second provider must see the first one's messages. */
  readonly network: boolean
  /** The capabilities it must declare, so that a lost one fails instead of being skipped. */
  readonly uncountedNack: boolean
  readonly reportsLostLease: boolean
  /** How long after a lease's end its message may take to be delivered again. */
  readonly redeliveryMsMax: number
  /** False for a stand-in of the broker that cannot say what it holds; its depth is then not looked at. */
  readonly tellsDepth?: false
  /** Its leases run by its users' clocks: a machine whose clock is far off may not take part, and is told so. */
  readonly refusesWrongClock?: true
  /** Cuts every connection of the drivers to their broker, once. */
  readonly cutConnections?: () => Promise<void>
  /** Makes the broker refuse the next calls for being too many. */
  readonly throttle?: (calls: number) => void
}

/** One suite's hold on a driver. */
export interface Harness {
  readonly expectations: DriverExpectations
  /** A fresh, empty queue. */
  fresh(): Promise<QueueDriver>
  /** The same with brief leases. */
  brief(): Promise<QueueDriver>
  /** The same queue seen by another process, where the broker has such a thing. */
  elsewhere(queue: QueueDriver): QueueDriver
  /** A queue of brief leases seen by a machine whose clock is so many milliseconds ahead. */
  onWrongClock(queue: QueueDriver, offMs: number): Promise<QueueDriver>
  /** A provider of the test's own, to close. */
  provider(): Promise<QueueProvider>
}

const encoder = new TextEncoder()

/** A message whose body says its id. */
export function message(id: string, extra: Partial<OutboundMessage> = {}): OutboundMessage {
  return { id, body: encoder.encode(JSON.stringify({ id })), ...extra }
}

/** `count` messages, `prefix-0` first. */
export function messages(count: number, prefix = 'm'): OutboundMessage[] {
  return Array.from({ length: count }, (_, i) => message(`${prefix}-${i}`))
}

/** Receives with the suite's lease; waits up to 5 s for the first message. */
export function receive(queue: QueueDriver, max = 1, waitMs = 5_000): Promise<readonly Lease[]> {
  return queue.receive({ max, waitMs, leaseMs })
}

/** The same with a brief lease. */
export function receiveBriefly(queue: QueueDriver, max = 1, waitMs = 5_000): Promise<readonly Lease[]> {
  return queue.receive({ max, waitMs, leaseMs: briefLeaseMs })
}

/** Receives exactly one message or fails. */
export async function receiveOne(queue: QueueDriver, waitMs = 5_000, how = receive): Promise<Lease> {
  const [lease] = await how(queue, 1, waitMs)
  if (!lease) throw new Error(`no message arrived on ${queue.name} within ${waitMs} ms`)
  return lease
}

/** The next message whose brief lease ended. */
export function redelivered(harness: Harness, queue: QueueDriver): Promise<Lease> {
  return eventually(async () => (await receiveBriefly(queue, 1, 500))[0], {
    timeoutMs: briefLeaseMs + harness.expectations.redeliveryMsMax,
    what: 'a message whose lease ended',
  })
}

/**
 * Expects the queue to hold this and nothing else. A broker whose count is not exact is given time, and may take
 * visible, leased and delayed messages for one another.
 */
export async function expectDepth(
  harness: Harness,
  queue: QueueDriver,
  expected: Partial<Omit<QueueDepth, 'asOf'>>,
): Promise<void> {
  if (harness.expectations.tellsDepth === false) return
  const full = { visible: 0, inFlight: 0, delayed: 0, dead: 0, ...expected }
  const look = async () => {
    const { asOf: _asOf, ...found } = await queue.depth()
    return queue.capabilities.depth === 'exact' ? found : blurred(found)
  }
  if (queue.capabilities.depth === 'exact') return expect(await look()).toEqual(full)
  await eventually(async () => expect(await look()).toEqual(blurred(full)) ?? true, {
    timeoutMs: 3_000,
    what: `${queue.name} to count ${JSON.stringify(blurred(full))}`,
  })
}

function blurred(depth: Omit<QueueDepth, 'asOf'>): { live: number; dead: number } {
  return { live: depth.visible + depth.inFlight + depth.delayed, dead: depth.dead }
}

/** The error code a call rejects with, or 'none'. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'none',
    (err: unknown) => (err instanceof Error && 'code' in err ? String(err.code) : String(err)),
  )
}
