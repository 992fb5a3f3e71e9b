import type { ForebayError } from '@forebay/kernel'

/** A message to send. */
export interface OutboundMessage {
  /** Names the message in logs and results. A broker need not reject a second message with the same id. */
  readonly id: string
  readonly body: Uint8Array
  readonly attributes?: Readonly<Record<string, string>>
  readonly delayMs?: number
  /** The tenant; a hint that a broker may ignore. */
  readonly fairnessKey?: string
}

/** A received message, held by this process until settled once, or until `leaseUntil` passes. */
export interface Lease {
  readonly id: string
  readonly body: Uint8Array
  readonly attributes: Readonly<Record<string, string>>
  /** 1 = first delivery; may over-count, never under-counts. */
  readonly attempt: number
  /** Milliseconds since the epoch. */
  readonly enqueuedAt: number
  /** Milliseconds since the epoch; `extend` moves it. */
  leaseUntil: number
}

/** What became of one item of a batch call. */
export type ItemResult =
  | { readonly id: string; readonly ok: true }
  | { readonly id: string; readonly ok: false; readonly error: ForebayError }

/** How much a queue holds. `asOf` is when the broker counted, in milliseconds since the epoch. */
export interface QueueDepth {
  readonly visible: number
  readonly inFlight: number
  readonly delayed: number
  readonly dead: number
  readonly asOf: number
}
