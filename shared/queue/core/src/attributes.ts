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
  /** It is a dead letter without its content, and why: whoever receives it sets it aside. */
  dead: 'fb-dead',
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

/** Why a message that is a dead letter without its content died; undefined of any other. */
export function deadReasonOf(lease: Lease): { code: string; detail?: string } | undefined {
  const text = lease.attributes[attributeNames.dead]
  if (text === undefined) return undefined
  const [, code = 'unknown', detail] = /^([^:]*)(?:: (.*))?$/s.exec(text) ?? []
  return detail === undefined ? { code } : { code, detail }
}

function numberAttribute(lease: Lease, name: string, fallback: number): number {
  const value = Number(lease.attributes[name])
  return Number.isFinite(value) ? value : fallback
}
