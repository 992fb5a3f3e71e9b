import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { makeBatcher } from '@forebay/batcher'
import type { BlobStore } from '@forebay/blobs'
import { loadCatalogue } from '@forebay/capacity'
import type { Config } from '@forebay/config'
import { type Lane, queueName, resultEventSchema } from '@forebay/contracts'
import { type EngineMeter, makeEngineMeter } from '@forebay/engine-time'
import { type Clock, type Logger, newId, type Registry, type Running } from '@forebay/kernel'
import { makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import type { QueueProvider } from '@forebay/queue-port'
import type { ReplyBus } from '@forebay/reply-bus'
import { makeAnnouncer } from './announcer.ts'
import { ChunkRunner } from './chunk/chunk-runner.ts'
import { RequestDispatcher } from './dispatcher.ts'
import { type DrainReason, drainReasons, makeDrain } from './drain.ts'
import { GatheringClient } from './embeddings/gathering-client.ts'
import { seatBounds } from './engine/detect-engine.ts'
import { openEngineClient } from './engine/engine-client.ts'
import { EngineMonitor, type EngineState } from './engine/engine-monitor.ts'
import { makeMemoryGauges } from './engine/memory-gauges.ts'
import { makeTimeLimits } from './engine/time-limits.ts'
import { makeWatchedClient } from './engine/watched-client.ts'
import { HintingClient } from './hints/hinting-client.ts'
import { LiveRunner } from './live/live-runner.ts'
import { makeWorkerMetrics } from './metrics.ts'
import { makeModelLabels } from './model-labels.ts'
import { pullLanes } from './pull-lanes.ts'
import { openResidentEngines, type Residents } from './residency/open-resident-engines.ts'
import { ResultFlusher } from './results/result-flusher.ts'
import { makeThroughput } from './throughput.ts'
import type { WorkerTools } from './tools.ts'
import { defaultTuning, type WorkerTuning } from './tuning.ts'

// Realtime requests a worker holds at most, as a multiple of its seats: beyond that they wait in the queue.
const realtimeOnHandFactor = 4

/** What a worker needs. It holds no database credentials: a zombie can at most send a result that loses. */
export interface WorkerOptions {
  config: Config
  clock: Clock
  logger: Logger
  registry: Registry
  blobs: BlobStore
  queues: QueueProvider
  bus: ReplyBus
  engine: { url: string; apiKey?: string | undefined }
  /** Several engines that share memory, in place of `engine`. */
  residents?: Residents | undefined
  /** GPUs of the engine, by which its time counts; 1 when not given. */
  gpus?: number | undefined
  /** What the engine's weights are quantized to, a label of metrics; not quantized when not given. */
  quantization?: string | undefined
  tuning?: Partial<WorkerTuning>
}

/** A running worker. */
export interface Worker extends Running {
  readonly workerId: string
  /** Undefined when it can work, else what is wrong. */
  trouble(): string | undefined
  /**
   * Stops as `stop`, because the machine will be gone at `byMs` (epoch ms): what is held is gone on with for as long as
   * it is expected to end in time, and the rest handed back.
   */
  leaveBy(byMs: number): Promise<void>
}

/**
 * Starts a worker: it pulls the lanes of its pool, feeds one engine through the batcher, and stores the results. The
 * engine need not be up yet. `stop` drains: what runs may finish within `config.drainMs`, the rest is handed back.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { blobs, bus, clock, config, logger, queues } = options
  const tuning = { ...defaultTuning, ...options.tuning }
  const workerId = newId(`worker_${hostname().slice(0, 24)}_`, clock.now())
  const metrics = makeWorkerMetrics(options.registry)
  const { idleMs } = tuning
  const connections = seatBounds({ kind: 'vllm' }, config.engineInFlight).max + 8
  const several = openResidentEngines({
    ...{ residents: options.residents, apiKey: options.engine.apiKey, connections, idleMs, clock, logger, metrics },
    pace: { holdMs: config.modelHoldMs, turnMs: config.modelTurnMs },
    work: () => dispatcher.work(),
    onChange: () => {
      dispatcher.sort()
      announce()
    },
    onFailed: (models) => {
      chunks.returnAll('engine down', { abort: true }, ({ model }) => models.includes(model))
      live.abandonAll('engine down', ({ model }) => models.includes(model))
    },
  })
  const client = several?.client ?? openEngineClient({ ...options.engine, connections, idleMs, clock })
  const watched = makeWatchedClient({ client, clock, logger, lostMs: tuning.lostMs })
  const hinting = new HintingClient({
    client: watched,
    clock,
    logger,
    kind: () => (config.engineHints === 'auto' && monitor.state.up ? monitor.state.profile.kind : undefined),
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
  const batcher = makeBatcher({
    seats: seatBounds({ kind: 'openai' }, config.engineInFlight),
    realtimeSeats: config.realtimeSeats,
    objective: { ttftP99Ms: config.ttftP99Ms, interTokenP99Ms: config.interTokenP99Ms },
  })
  const meter: EngineMeter = makeEngineMeter({ gpus: options.gpus ?? 1, startMs: clock.now() })
  const flusher = new ResultFlusher({
    blobs,
    sender: makeJobSender({
      driver: queues.queue(queueName(config.pool, 'results')),
      codec: makeJsonCodec(resultEventSchema),
      clock,
    }),
    clock,
    logger,
    metrics,
    workerId,
    pool: config.pool,
    intervalMs: tuning.flushMs,
    resultsMax: tuning.flushResults,
    meter,
    idleEveryMs: tuning.idleEveryMs,
  })
  let draining: DrainReason | undefined
  for (const reason of drainReasons) metrics.draining.set({ reason }, 0)
  let wake = () => {}
  let waking = false
  // Many requests end in one turn of the event loop; the lanes are asked once.
  const onFree = () => {
    if (waking) return
    waking = true
    setImmediate(() => {
      waking = false
      wake()
    })
  }
  const monitor: EngineMonitor = new EngineMonitor({
    client,
    clock,
    logger,
    inFlight: () => sum(dispatcher.counts.inFlight),
    stallMs: tuning.stallMs,
    onSample: (sample) => {
      dispatcher.observe(sample)
      // Of several engines, calls may be held here until theirs has its turn.
      if (!several) watched.observe(sample)
      memory.observe(sample)
    },
    onChange: (state) => onEngine(state),
  })
  const dispatcher = new RequestDispatcher({
    batcher,
    clock,
    logger,
    metrics,
    meter,
    attempts: config.requestAttempts,
    isEngineUp: () => monitor.state.up,
    onTrouble: (why) => {
      // One of several that cannot be reached is the manager's to look after.
      if (!several || why !== 'unreachable') monitor.report(why)
    },
    ...(several && { mayRun: (model: string) => several.manager.mayRun(model) }),
    onFree,
  })
  const throughput = makeThroughput(clock.now())
  const labels = makeModelLabels({
    provider: () => (monitor.state.up ? monitor.state.profile.kind : 'unknown'),
    quantization: options.quantization ?? '',
  })
  // An engine of several models has no one of them in the metrics that are its own.
  const engineLabels = () => {
    const [first, second] = monitor.state.up ? monitor.state.profile.models : []
    return labels(first && !second ? first.id : '')
  }
  const memory = makeMemoryGauges({ catalogue: await loadCatalogue(), logger, metrics, labels: engineLabels })
  const modelVersion = (model: string) =>
    monitor.state.up ? (monitor.state.profile.models.find(({ id }) => id === model)?.version ?? null) : null
  const limits = makeTimeLimits({ floorMs: tuning.answerFloorMs })
  const tools: WorkerTools = {
    workerId,
    clock,
    logger,
    metrics,
    client: { call: (call) => gathering.call(call), stream: (call, sink) => hinting.stream(call, sink) },
    batcher,
    dispatcher,
    limits,
    meter,
    flusher,
    throughput,
    labels,
    modelVersion,
    onFree,
  }
  const chunks = new ChunkRunner({ tools, blobs, chunkLeaseMs: config.chunkLeaseMs, bytesMax: tuning.bytesMax })
  const live = new LiveRunner({ tools, bus })

  let cancelGrace = () => {}
  const onEngine = (state: EngineState) => {
    metrics.engineUp.set(state.up ? 1 : 0)
    cancelGrace()
    if (state.up) {
      batcher.setSeats(seatBounds(state.profile, config.engineInFlight))
      dispatcher.pump()
    } else {
      hinting.forget()
      // Refused connections have ended by themselves; a silent or wedged engine would hold them for ever.
      if (state.why === 'silent' || state.why === 'wedged') dispatcher.cutAll()
      memory.clear()
      cancelGrace = clock.after(tuning.downGraceMs, () => {
        chunks.returnAll('engine down', { abort: true })
        live.abandonAll('engine down')
      })
    }
    wake()
    announce()
  }

  const pulling = pullLanes({
    ...options,
    // With so many requests not ended, more would only wait here instead of where another worker could take them.
    want(lane) {
      if (draining || !monitor.state.up || flusher.unflushed > tuning.unflushedMax) return 0
      const { ceiling, liveCeiling } = dispatcher.counts
      const onHand = chunks.onHand(lane) + live.onHand(lane)
      if (lane === 'realtime') {
        return Math.max(onHand < realtimeOnHandFactor * liveCeiling ? 1 : 0, liveCeiling - onHand)
      }
      return Math.max(0, Math.ceil((2 * ceiling - onHand) / config.chunkRequests))
    },
    onChunk: (leased, receiver) => chunks.onJob(leased, receiver),
    onRequest: (leased, receiver) => live.onJob(leased, receiver),
  })
  wake = pulling.wake

  const announce = makeAnnouncer({
    workerId,
    pool: config.pool,
    engineUrl: options.residents?.engines[0]?.url ?? options.engine.url,
    serves: (model) => several?.manager.serves(model) ?? true,
    asleep: (model) => several !== undefined && !several.manager.mayRun(model),
    bus,
    clock,
    logger,
    metrics,
    throughput,
    state: () => monitor.state,
    labels: engineLabels,
    counts: () => dispatcher.counts,
    draining: () => draining !== undefined,
  })
  const stopControl = await bus.onControl((message) => {
    if (message.type === 'cancel-request') live.cancel(message)
    else chunks.cancelBatch(message.batchId)
  })
  const stopAnnouncing = clock.every(tuning.announceMs, () => {
    announce()
    flusher.tellIdle()
  })
  chunks.start()
  monitor.start()
  several?.manager.start()
  pulling.start()

  const drain = makeDrain({
    clock,
    tools,
    chunks,
    live,
    pulling,
    drainMs: config.drainMs,
    lastFlushMs: tuning.lastFlushMs,
    onBegin(reason) {
      draining = reason
      metrics.draining.set({ reason }, 1)
      announce()
    },
    async close() {
      cancelGrace()
      stopAnnouncing()
      await stopControl()
      await Promise.all([chunks.stop(), live.stop(), monitor.stop(), several?.manager.stop()])
      dispatcher.stop()
    },
  })
  let stopped: Promise<void> | undefined
  const stop = async () => {
    await drain.run()
    await Promise.all([gathering.stop(), client.stop()])
    logger.info({ workerId }, 'worker stopped')
  }
  const stopOnce = () => (stopped ??= stop())
  return {
    workerId,
    trouble: () => (monitor.state.up ? bus.trouble() : `the engine is ${monitor.state.why}`),
    stop: stopOnce,
    leaveBy(byMs) {
      drain.leaveBy(byMs)
      return stopOnce()
    },
  }
}

function sum(perLane: Record<Lane, number>): number {
  return perLane.realtime + perLane.standard + perLane.batch
}
