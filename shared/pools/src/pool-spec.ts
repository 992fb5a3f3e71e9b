import type { ModelSpec } from '@forebay/model-registry'
import { type AliasRule, type Weights, weightsUsual } from '@forebay/router'

/** An engine of a worker that has several: it sleeps and wakes, and has adapters that come and go. */
export interface EngineSpec {
  readonly model: string
  readonly url: string
  readonly memoryGb: number
  readonly asleepGb: number
  readonly adapters: readonly { readonly name: string; readonly source: string; readonly memoryGb: number }[]
}

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
  /** Which version of a model its workers run, by model; a model that is not named: the version without a name. */
  readonly versions?: Readonly<Record<string, string>> | undefined
  readonly quantization: string | undefined
  readonly costPerGpuHour: number | undefined
  readonly gpus: number | undefined
  /** Which GPU, by its name in the planner's catalogue. */
  readonly gpu?: string | undefined
  /** Memory of one GPU, where the catalogue does not know it or it is a part of one. */
  readonly gpuMemoryGb?: number | undefined
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
  /** Pools of a tier are used only when those of every lower one cannot be. */
  readonly tier: number
  /** A managed API: used only when no pool of one's own can be. */
  readonly managed: boolean
  /** What may be charged for it a day, in the currency of the price book; undefined: no cap. */
  readonly spendCapPerDay: number | undefined
  /** The engines of each of its workers, which share `engineMemoryGb`; undefined: a worker has the one it is told. */
  readonly engines?: readonly EngineSpec[] | undefined
  readonly engineMemoryGb?: number | undefined
}

/** How a pool is chosen among those that may run a request. */
export interface RoutingSpec {
  readonly weights: Weights
  /** Where the gateway and the files are. */
  readonly home: { readonly cloud: string | undefined; readonly region: string | undefined }
}

/** The routing when a file says nothing of it. */
export const routingUsual: RoutingSpec = { weights: weightsUsual, home: { cloud: undefined, region: undefined } }

/** The configured pools. */
export interface PoolSet {
  readonly pools: readonly PoolSpec[]
  /** The file they were read from; undefined when they are the one pool of the environment, whose queues serve a pool of any name. */
  readonly file: string | undefined
  /** As usual when not given. */
  readonly routing?: RoutingSpec
  /** The models' aliases, in the order in which they are tried; none when not given. */
  readonly routes?: readonly AliasRule[]
  /** The models that the file describes. */
  readonly models?: readonly ModelSpec[]
}
