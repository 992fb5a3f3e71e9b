/** An object store in this process that speaks a cloud's own protocol over HTTP. */
export interface BlobEmulator {
  readonly port: number
  /** Uploads begun and neither completed nor given up: sessions, or objects with blocks staged. */
  unfinished(): number
  /** Safe to repeat. */
  stop(): Promise<void>
}
