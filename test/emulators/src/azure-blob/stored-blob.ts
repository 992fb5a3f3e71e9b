/** A committed blob; one stored in a single request has no blocks. */
export interface StoredBlob {
  bytes: Buffer
  blocks: Map<string, Buffer>
  etag: string
  /** As the headers it is sent with. */
  metadata: Record<string, string>
}

/** Blobs, and the blocks staged for them, by key. */
export interface Container {
  blobs: Map<string, StoredBlob>
  staged: Map<string, Map<string, Buffer>>
}

/** An error as Azure names it. */
export class AzureFault extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string) {
    super(code)
    this.status = status
    this.code = code
  }
}
