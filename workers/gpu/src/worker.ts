import { hostname } from 'node:os'
import { makeBatcher } from '@forebay/batcher'
import type { BlobStore } from '@forebay/blobs'
import { loadCatalogue } from '@forebay/capacity'
import type { Config } from '@forebay/config'
import type { Lane } from '@forebay/contracts'
import { type EngineMeter, makeEngineMeter } from '@forebay/engine-time'
import { type Clock, type Logger, newId, type Registry, type Running } from '@forebay/kernel'
import type { QueueProvider } from '@forebay/queue-port'
import type { ReplyBus } from '@forebay/reply-bus'
import { makeAnnouncer } from './announcer.ts'
import { ChunkRunner } from './chunk/chunk-runner.ts'
import { RequestDispatcher } from './dispatcher.ts'
import { type DrainReason, drainReasons, makeDrain } from './drain.ts'
import { seatBounds } from './engine/detect-engine.ts'
import { EngineMonitor, type EngineState } from './engine/engine-monitor.ts'
import { makeMemoryGauges } from './engine/memory-gauges.ts'
import { openEngineCalls } from './engine/open-engine-calls.ts'
import { makeTimeLimits } from './engine/time-limits.ts'
import { jobsWanted } from './jobs-wanted.ts'
import { LiveRunner } from './live/live-runner.ts'
import { makeWorkerMetrics } from './metrics.ts'
import { makeModelFacts } from './model-facts.ts'
import { oncePerTurn } from './once-per-turn.ts'
import { type Pulling, pullLanes } from './pull-lanes.ts'
import type { Residents } from './residency/open-resident-engines.ts'
import { openResultFlusher } from './results/open-result-flusher.ts'
import { makeThroughput } from './throughput.ts'
import type { WorkerTools } from './tools.ts'
import { defaultTuning, type WorkerTuning } from './tuning.ts'

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
  const calls = openEngineCalls({
    ...options,
    residents: options.residents,
    tuning,
    metrics,
    kind: () => (monitor.state.up ? monitor.state.profile.kind : undefined),
    work: () => dispatcher.work(),
    onModels: () => {
      dispatcher.sort()
      announce()
    },
    onModelsFailed: (models) => {
      chunks.returnAll('engine down', { abort: true }, ({ model }) => models.includes(model))
      live.abandonAll('engine down', ({ model }) => models.includes(model))
    },
  })
  const { several } = calls
  const batcher = makeBatcher({
    seats: seatBounds({ kind: 'openai' }, config.engineInFlight),
    realtimeSeats: config.realtimeSeats,
    objective: { ttftP99Ms: config.ttftP99Ms, interTokenP99Ms: config.interTokenP99Ms },
  })
  const meter: EngineMeter = makeEngineMeter({ gpus: options.gpus ?? 1, startMs: clock.now() })
  const flusher = openResultFlusher({
    ...{ blobs, queues, clock, logger, metrics, meter, workerId, tuning },
    pool: config.pool,
  })
  let draining: DrainReason | undefined
  for (const reason of drainReasons) metrics.draining.set({ reason }, 0)
  // Many requests end in one turn; the lanes are asked once.
  const onFree = oncePerTurn(() => pulling.wake())
  const monitor: EngineMonitor = new EngineMonitor({
    client: calls.engine,
    clock,
    logger,
    inFlight: () => sum(dispatcher.counts.inFlight),
    stallMs: tuning.stallMs,
    onSample: (sample) => {
      dispatcher.observe(sample)
      calls.observe(sample)
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
  const facts = makeModelFacts({ state: () => monitor.state, quantization: options.quantization ?? '' })
  const memory = makeMemoryGauges({ catalogue: await loadCatalogue(), logger, metrics, labels: facts.engineLabels })
  const limits = makeTimeLimits({ floorMs: tuning.answerFloorMs })
  const tools: WorkerTools = {
    workerId,
    clock,
    logger,
    metrics,
    client: calls.client,
    batcher,
    dispatcher,
    limits,
    meter,
    flusher,
    throughput,
    labels: facts.labels,
    modelVersion: facts.version,
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
      calls.forget()
      // Refused connections have ended by themselves; a silent or wedged engine would hold them for ever.
      if (state.why === 'silent' || state.why === 'wedged') dispatcher.cutAll()
      memory.clear()
      cancelGrace = clock.after(tuning.downGraceMs, () => {
        chunks.returnAll('engine down', { abort: true })
        live.abandonAll('engine down')
      })
    }
    pulling.wake()
    announce()
  }

  const pulling: Pulling = pullLanes({
    ...options,
    want(lane) {
      if (draining || !monitor.state.up || flusher.unflushed > tuning.unflushedMax) return 0
      const onHand = chunks.onHand(lane) + live.onHand(lane)
      const { ceiling, liveCeiling } = dispatcher.ceilings
      return jobsWanted(lane, { ceiling, liveCeiling, onHand, chunkRequests: config.chunkRequests })
    },
    onChunk: (leased, receiver) => chunks.onJob(leased, receiver),
    onRequest: (leased, receiver) => live.onJob(leased, receiver),
  })

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
    labels: facts.engineLabels,
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
    await calls.stop()
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
