import type { Announcement, Control, ReplyFrame } from '@forebay/contracts'
import type { Running } from '@forebay/kernel'

/**
 * The way back to a waiting client, and the deployment's short notices. At most once and unordered across senders:
 * frames of one reply arrive in order or not at all, so a receiver checks `seq`. Nothing durable depends on it.
 */
export interface ReplyBus extends Running {
  /** Sends a frame to a gateway's inbox. Resolves when handed over, rejects `unavailable` when it cannot be. */
  send(inbox: string, frame: ReplyFrame): Promise<void>
  /** Hears an inbox until the returned function is called. */
  receive(inbox: string, onFrame: (frame: ReplyFrame) => void): Promise<() => Promise<void>>
  /** Tells every worker. */
  control(message: Control): Promise<void>
  onControl(onMessage: (message: Control) => void): Promise<() => Promise<void>>
  /** Tells gateways and schedulers of a worker. */
  announce(announcement: Announcement): Promise<void>
  onAnnounce(onAnnouncement: (announcement: Announcement) => void): Promise<() => Promise<void>>
  /** Undefined when usable, else what is wrong. */
  trouble(): string | undefined
}
