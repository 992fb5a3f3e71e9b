import type { Lease } from '@forebay/queue-port'

/** The message attributes in which the core carries what a broker cannot. */
export const attributeNames = {
  /** Key of the real body in the body store. */
  body: 'fb-body',
  /** Milliseconds since the epoch before which the job must not run: a delay longer than the broker's longest. */
  notBefore: 'fb-not-before',
  /** Attempts used up by earlier copies of the message; negative when copies were delivered without being run. */
  attempts: 'fb-attempts',
  /** When the first copy was sent. */
  enqueuedAt: 'fb-enqueued-at',
} as const

/** The attempt this delivery is, over all copies of the message. */
export function attemptOf(lease: Lease): number {
  return lease.attempt + numberAttribute(lease, attributeNames.attempts, 0)
}

/** When the job was first sent, over all copies of the message. */
export function enqueuedAtOf(lease: Lease): number {
  return numberAttribute(lease, attributeNames.enqueuedAt, lease.enqueuedAt)
}

/** How long the job must still wait, 0 when it may run. */
export function remainingDelayMs(lease: Lease, now: number): number {
  return Math.max(0, numberAttribute(lease, attributeNames.notBefore, 0) - now)
}

function numberAttribute(lease: Lease, name: string, fallback: number): number {
  const value = Number(lease.attributes[name])
  return Number.isFinite(value) ? value : fallback
}
