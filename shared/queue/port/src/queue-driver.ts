import type { DriverCapabilities } from './capabilities.ts'
import type { ItemResult, Lease, OutboundMessage, QueueDepth } from './messages.ts'

/**
 * One physical queue and its dead-letter queue, at-least-once. Policy (attempts, back-off, heartbeats, lanes) lives
 * above. Methods reject with a ForebayError whose code is one of `queue_too_large`, `lease_lost`, `unavailable`,
 * `overloaded`, `not_found`, `queue_denied`, `queue_invalid`.
 */
export interface QueueDriver {
  readonly name: string
  readonly capabilities: DriverCapabilities
  /** Creates the queue, or only verifies it where creation is denied. Safe to repeat. */
  ensure(): Promise<void>
  /** Splits to the broker's limits and answers per item, in order; one bad item never fails its neighbours. */
  send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]>
  /**
   * Leases 0..max messages; returns once any arrive, else after `waitMs`. An abort makes an idle wait return early
   * with none; what was leased by then is still returned. Order is roughly first in, first out.
   */
  receive(options: { max: number; waitMs: number; leaseMs: number; signal?: AbortSignal }): Promise<readonly Lease[]>
  /** Removes the messages. `lease_lost` in a result means another consumer may run it too. */
  ack(leases: readonly Lease[]): Promise<readonly ItemResult[]>
  /**
   * Gives the message back after `delayMs`; may copy then delete, so a duplicate is possible, a loss is not.
   * `counted: false` keeps the attempt unused where the broker can (`capabilities.uncountedNack`).
   */
  nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void>
  /** Heartbeat: moves and returns `leaseUntil`, or rejects with `lease_lost`. */
  extend(lease: Lease, leaseMs: number): Promise<number>
  /** Moves the message to the dead-letter queue with its reason. */
  deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void>
  depth(): Promise<QueueDepth>
  /**
   * Puts up to `max` dead messages back as first attempts; 'started' where the broker does it in the background. One that
   * was set aside without its content is no job any more: whoever receives it sets it aside again, for the same reason.
   */
  redrive(options: { max: number }): Promise<{ moved: number | 'started' }>
  /** Drops visible, delayed and dead messages; leased ones may go too. */
  purge(): Promise<void>
  /** Ends open polls and gives back what was leased but never handed out. Safe to repeat. */
  close(): Promise<void>
}

/** The queues of one broker. Names look like `default.realtime`, `default.batch`, `default.results`. */
export interface QueueProvider {
  /** The driver of one queue; the same object for the same name. */
  queue(name: string): QueueDriver
  /** Closes every driver, then the connections. Safe to repeat. */
  close(): Promise<void>
}
