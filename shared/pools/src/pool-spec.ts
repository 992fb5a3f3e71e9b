/** One pool as configured: where its queues and blobs are, and what it is. */
export interface PoolSpec {
  readonly name: string
  /** Picks the driver of its queues. */
  readonly queueUrl: string
  /** Its own blob store; undefined when it uses the store that files are uploaded to. */
  readonly blobUrl: string | undefined
  readonly cloud: string | undefined
  readonly region: string | undefined
  /** The only models it may serve; undefined: whatever its workers announce. */
  readonly models: readonly string[] | undefined
  readonly quantization: string | undefined
  readonly costPerGpuHour: number | undefined
  readonly gpus: number | undefined
  /** Tags of where data may be; a batch that asks for one goes only to pools that carry it. */
  readonly residency: readonly string[]
  readonly minReplicas: number
  readonly maxReplicas: number | undefined
  /** True: its cloud may take it away. */
  readonly spot: boolean
  /** From asking for a worker until it works, as configured. */
  readonly coldStartSeconds: number | undefined
  /** What a full worker gets through, as configured. */
  readonly tokensPerSecond: number | undefined
}

/** The configured pools. */
export interface PoolSet {
  readonly pools: readonly PoolSpec[]
  /** The file they were read from; undefined when they are the one pool of the environment, whose queues serve a pool of any name. */
  readonly file: string | undefined
}
