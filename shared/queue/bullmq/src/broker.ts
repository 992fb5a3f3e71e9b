import type { IQueueBackend } from 'bullmq'

/** A datastore BullMQ runs on, seen by the driver: everything that differs between Redis and Postgres. */
export interface Broker {
  /** True: a claim that finds a job leaves a wake-up behind, so that the next wait returns at once. */
  readonly claimsWake: boolean
  /** How many claims are sent at once, and the most jobs one receive answers. */
  readonly claimsMax: number
  /** The operations of one queue, over the shared connection(s). */
  operations(queue: string, timing: LeaseTiming): IQueueBackend
  /** What blocks for the next job of one queue; made on first use, since a sender never needs it. */
  waiter(queue: string, operations: IQueueBackend): IQueueBackend
  /** Interrupts and lets go of a waiter. */
  closeWaiter(waiter: IQueueBackend): Promise<void>
  /** A wake-up was taken from the datastore by a wait that nobody was left to use: lets another consumer have it. */
  handBackWakeUp(queue: string): Promise<void>
  /** Closes the connections. */
  close(): Promise<void>
}

/** How long leases last and how often lost ones are looked for, in milliseconds; the same in every process. */
export interface LeaseTiming {
  readonly leaseMs: number
  readonly stalledCheckMs: number
}

/** The worker options a backend reads for leases. Attempts are the core's to limit: BullMQ must never give up itself. */
export function backendOptions(timing: LeaseTiming) {
  return {
    lockDuration: timing.leaseMs,
    // A little under the tick that asks, or timer jitter would make every second check find the last one too recent.
    stalledInterval: Math.floor(timing.stalledCheckMs * 0.8),
    maxStalledCount: 2 ** 31 - 1,
  }
}

/** BullMQ lets two consumers disagree on the interval, and then recovers lost jobs at the slower one's pace. */
export function leaseTiming(leaseMs: number): LeaseTiming {
  return { leaseMs, stalledCheckMs: Math.min(5_000, Math.max(200, Math.floor(leaseMs / 2))) }
}
