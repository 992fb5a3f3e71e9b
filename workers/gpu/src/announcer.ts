import type { BatcherCounts } from '@forebay/batcher'
import { lanes } from '@forebay/contracts'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import type { ReplyBus } from '@forebay/reply-bus'
import type { EngineState } from './engine/engine-monitor.ts'
import type { WorkerMetrics } from './metrics.ts'
import type { ModelLabels } from './model-facts.ts'
import type { Throughput } from './throughput.ts'

/** Makes the function that tells the deployment, and the worker's own gauges, how the worker is now. */
export function makeAnnouncer(options: {
  workerId: string
  pool: string
  engineUrl: string
  /** Whether work for a model that its engine has is taken now; one that sleeps is woken for it. */
  serves: (model: string) => boolean
  /** Whether a model that is served has to be woken or loaded first. */
  asleep: (model: string) => boolean
  bus: Pick<ReplyBus, 'announce'>
  clock: Clock
  logger: Logger
  metrics: WorkerMetrics
  throughput: Throughput
  state: () => EngineState
  /** Of what is the engine's, not one model's. */
  labels: () => ModelLabels
  counts: () => BatcherCounts
  draining: () => boolean
}): () => void {
  const { bus, clock, logger, metrics, pool, throughput, workerId } = options
  const { host, pathname, protocol } = new URL(options.engineUrl)
  // Without what may stand before the host: it would be a password.
  const engineUrl = `${protocol}//${host}${pathname.replace(/\/$/, '')}`
  return () => {
    const { ceiling, inFlight, tokens, tokensMax, waiting } = options.counts()
    const state = options.state()
    const engine = state.up ? state.profile.kind : 'unknown'
    const running = inFlight.realtime + inFlight.standard + inFlight.batch
    for (const lane of lanes) {
      metrics.inFlight.set({ lane }, inFlight[lane])
      metrics.waiting.set({ lane }, waiting[lane])
    }
    const labels = { ...options.labels() }
    metrics.active.reset()
    metrics.active.set(labels, running)
    metrics.queueSize.reset()
    metrics.queueSize.set(labels, waiting.realtime + waiting.standard + waiting.batch)
    metrics.tokensInFlight.set(tokens)
    metrics.tokensMax.set(tokensMax ?? 0)
    if (running > 0) metrics.batchSize.observe(labels, running)
    const announcement = {
      workerId,
      pool,
      engine,
      engineUrl,
      models: state.up ? announced(state.profile.models, options) : [],
      healthy: state.up,
      draining: options.draining(),
      inFlight,
      inFlightMax: ceiling,
      tokensMax: tokensMax ?? null,
      tokensPerSecond: throughput.measure(clock.now()),
      atMs: clock.now(),
    }
    bus.announce(announcement).catch((err: unknown) => {
      logger.debug({ error: describeError(err) }, 'worker could not be announced')
    })
  }
}

function announced<M extends { id: string }>(
  models: readonly M[],
  { asleep, serves }: { serves: (model: string) => boolean; asleep: (model: string) => boolean },
): (M & { asleep?: true })[] {
  const served = models.filter(({ id }) => serves(id))
  return served.map((model) => (asleep(model.id) ? { ...model, asleep: true as const } : model))
}
