import { randomBytes } from 'node:crypto'
import type { Config } from '@forebay/config'
import type { Clock, Logger } from '@forebay/kernel'
import { GatheringClient } from '../embeddings/gathering-client.ts'
import { HintingClient } from '../hints/hinting-client.ts'
import type { WorkerMetrics } from '../metrics.ts'
import { openResidentEngines, type ResidentEngines, type Residents } from '../residency/open-resident-engines.ts'
import type { ModelWork } from '../residency/residency-manager.ts'
import type { WorkerTuning } from '../tuning.ts'
import { type EngineProfile, seatBounds } from './detect-engine.ts'
import { type EngineClient, openEngineClient } from './engine-client.ts'
import { makeWatchedClient, type WatchedClient } from './watched-client.ts'

/** The way of a call to the engine: shared with others where it may be, with hints, watched, over HTTP. */
export interface EngineCalls {
  /** What runners call. */
  readonly client: Pick<EngineClient, 'call' | 'stream'>
  /** The HTTP below it, for questions beside the requests. */
  readonly engine: EngineClient
  /** Undefined for one engine that always has its model. */
  readonly several: ResidentEngines | undefined
  readonly observe: WatchedClient['observe']
  /** The engine went away: what comes in its place may be another. */
  forget(): void
  /** Cuts what still runs. */
  stop(): Promise<void>
}

/** Opens one engine, or several; nothing is sent before the first call. */
export function openEngineCalls(options: {
  config: Config
  clock: Clock
  logger: Logger
  metrics: WorkerMetrics
  tuning: Pick<WorkerTuning, 'idleMs' | 'lostMs'>
  engine: { url: string; apiKey?: string | undefined }
  residents: Residents | undefined
  /** What the engine is; undefined while it is not known. */
  kind: () => EngineProfile['kind'] | undefined
  /** Of several engines: what each model has to do. */
  work: () => Map<string, ModelWork>
  /** Which models may run has changed. */
  onModels: () => void
  /** These models cannot be run. */
  onModelsFailed: (models: readonly string[]) => void
}): EngineCalls {
  const { clock, config, logger, metrics, tuning } = options
  const { idleMs, lostMs } = tuning
  const connections = seatBounds({ kind: 'vllm' }, config.engineInFlight).max + 8
  const several = openResidentEngines({
    ...{ residents: options.residents, apiKey: options.engine.apiKey, connections, idleMs, clock, logger, metrics },
    pace: { holdMs: config.modelHoldMs, turnMs: config.modelTurnMs },
    work: options.work,
    onChange: options.onModels,
    onFailed: options.onModelsFailed,
  })
  const engine = several?.client ?? openEngineClient({ ...options.engine, connections, idleMs, clock })
  const watched = makeWatchedClient({ client: engine, clock, logger, lostMs })
  const hinting = new HintingClient({
    client: watched,
    clock,
    logger,
    kind: () => (config.engineHints === 'auto' ? options.kind() : undefined),
    secret: config.cacheSaltSecret ?? randomBytes(32),
  })
  const gathering = new GatheringClient({
    client: hinting,
    limits: {
      inputsMax: config.microBatchSize,
      tokensMax: config.microBatchTokens,
      waitMs: config.microBatchWaitMs,
    },
    clock,
    metrics,
  })
  return {
    client: { call: (call) => gathering.call(call), stream: (call, sink) => hinting.stream(call, sink) },
    engine,
    several,
    // Of several engines, calls may be held here until theirs has its turn.
    observe: several ? () => {} : watched.observe,
    forget: () => hinting.forget(),
    async stop() {
      await Promise.all([gathering.stop(), engine.stop()])
    },
  }
}
