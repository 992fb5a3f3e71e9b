/** What a broker can and cannot do, as data: the core adapts to it, and the conformance suite skips only by it. */
export interface DriverCapabilities {
  /** Largest body in bytes; the core stores larger ones elsewhere and sends a pointer. */
  readonly bodyBytesMax: number
  /** Longest delay of one send or nack; the core splits longer ones. */
  readonly delayMsMax: number
  /** Longest single lease or extension. */
  readonly leaseMsMax: number
  /** True: `extend` restarts the queue's own lock and ignores the length asked for. */
  readonly leaseIsFixed: boolean
  /** True: the broker itself refuses to settle a lost lease. False: the driver keeps a lease clock. */
  readonly reportsLostLease: boolean
  /** True: `nack` with `counted: false` gives the message back without using up an attempt. */
  readonly uncountedNack: boolean
  readonly depth: 'exact' | 'approximate' | 'lagging'
}
