/** A broker in this process that speaks a cloud queue's own protocol, for the real SDK to talk to. */
export interface Emulator {
  /** What QUEUE_URL is for it. */
  readonly url: string
  /** Cuts every connection, once; new ones are taken. */
  cutConnections(): Promise<void>
  /** Refuses the next `calls` calls the way the cloud refuses too many. */
  throttle(calls: number): void
  /** Safe to repeat. */
  stop(): Promise<void>
}
