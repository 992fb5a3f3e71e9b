import type { Batcher, BatcherRequest } from '@forebay/batcher'
import type { Usage } from '@forebay/contracts'
import {
  EngineModel,
  type EngineRequest,
  type EngineSequence,
  groupBlockHashes,
  type StepProfile,
} from '@forebay/engine-model'
import { makeEventQueue } from './event-queue.ts'
import { type LaneReport, makeLaneStats } from './lane-stats.ts'
import type { SimRequest } from './workload.ts'

/** The part of a batcher that a simulation drives; what a worker drives, less what is there for engines that die. */
export type Gate = Pick<
  Batcher,
  'add' | 'admit' | 'progressed' | 'finished' | 'victims' | 'observe' | 'nextDueMs' | 'counts'
>

/** A workload, an engine and a gate. */
export interface Simulation {
  profile: StepProfile
  gate: Gate
  /** Those of the lanes standard and batch are fed in order, as fast as the gate takes them, from their `atMs` on. */
  requests: readonly SimRequest[]
  /** Ends here at the latest; else when everything has been answered. */
  untilMs?: number
  /** What came before, a ramp, is left out of the report's rates and times. */
  measureFromMs?: number
  /** One way between gate and engine. */
  networkMs?: number
  /** Between two looks at the engine's metrics. */
  sampleMs?: number
}

/** What came of it. */
export interface SimulationReport {
  /** Simulated time until the end. */
  durationMs: number
  realtime: LaneReport
  standard: LaneReport
  batch: LaneReport
  /** Share of prompt tokens found in the engine's prefix cache. */
  prefixHitRate: number
  /** Thrown out by the engine for want of KV memory. */
  enginePreemptions: number
  /** Aborted by the gate to let live requests in, and run again. */
  preempted: number
  /** Time that one GPU was taken. */
  gpuHours: number
}

interface Work extends EngineRequest {
  readonly of: SimRequest
}

const chunkRequests = 64

/**
 * Plays requests through a gate into the engine model on simulated time. The gate learns what a worker would learn,
 * and no sooner: live tokens and ends after the network's delay, nothing of a batch request before its end, the
 * engine's metrics every `sampleMs`.
 */
export function simulate(simulation: Simulation): SimulationReport {
  const {
    gate,
    profile,
    measureFromMs = 0,
    networkMs = 1,
    sampleMs = 250,
    untilMs = Number.POSITIVE_INFINITY,
  } = simulation
  const engine = new EngineModel<Work>(profile)
  const events = makeEventQueue()
  const stats = {
    realtime: makeLaneStats(measureFromMs),
    standard: makeLaneStats(measureFromMs),
    batch: makeLaneStats(measureFromMs),
  }
  const byId = new Map(simulation.requests.map((request) => [request.id, request]))
  const bulk = simulation.requests.filter(({ lane }) => lane !== 'realtime')
  /** Counted when a step is over, as vLLM does. */
  const told = { steps: 0, prompt: 0, generation: 0 }
  let left = simulation.requests.length
  let fed = 0
  let preempted = 0
  let nowMs = 0
  let stepping = false

  const feed = () => {
    const { ceiling, waiting } = gate.counts()
    // As a worker pulls: chunk by chunk, until twice what it may run is on hand.
    for (let onHand = waiting.standard + waiting.batch; onHand < 2 * ceiling; ) {
      for (let i = 0; i < chunkRequests; i++) {
        const next = bulk[fed]
        if (!next || next.atMs > nowMs) return
        gate.add(asBatcherRequest(next), { nowMs })
        fed++
        onHand++
      }
    }
  }

  const pump = () => {
    feed()
    for (const request of gate.admit(nowMs)) {
      const of = byId.get(request.id)
      if (of) events.at(nowMs + networkMs, () => arrive(of))
    }
    for (const id of gate.victims(nowMs)) {
      const of = byId.get(id)
      if (of) events.at(nowMs + networkMs, () => putBack(of))
    }
  }

  const arrive = (of: SimRequest) => {
    const blockHashes =
      of.prefixTokens > 0 ? groupBlockHashes(String(of.prefixGroup), of.prefixTokens, profile.limits.blockSize) : []
    engine.add({ id: of.id, promptTokens: of.promptTokens, outputTokens: of.outputTokens, blockHashes, of })
    step()
  }

  const putBack = (of: SimRequest) => {
    if (!engine.abort(of.id)) return
    preempted++
    gate.finished(of.id, null, nowMs)
    gate.add(asBatcherRequest(of), { nowMs, first: true })
  }

  const step = () => {
    if (stepping) return
    const result = engine.step()
    if (result.emitted.length === 0 && engine.running === 0) return
    stepping = true
    events.at(nowMs + result.durationMs, () => {
      stepping = false
      told.steps++
      for (const { generated, request } of result.emitted) {
        told.generation++
        if (generated === 1) told.prompt += request.promptTokens
      }
      const live = result.emitted.filter(({ request }) => request.of.lane === 'realtime')
      if (live.length + result.finished.length > 0) {
        const progress = live.map(({ generated, request }) => ({ of: request.of, generated }))
        events.at(nowMs + networkMs, () => tell(progress, result.finished))
      }
      step()
    })
  }

  const tell = (progress: { of: SimRequest; generated: number }[], finished: readonly EngineSequence<Work>[]) => {
    for (const { of, generated } of progress) {
      stats.realtime.token(of, generated, nowMs)
      gate.progressed(of.id, nowMs)
    }
    for (const { cachedTokens, request } of finished) {
      left--
      stats[request.of.lane].finished(request.of, nowMs)
      gate.finished(request.id, usageOf(request, cachedTokens), nowMs)
    }
  }

  const sample = () => {
    const { counters, kvUsage, limits, running, waiting } = engine
    gate.observe({
      atMs: nowMs,
      running,
      waiting,
      kvUsage,
      kvTokens: limits.numGpuBlocks * limits.blockSize,
      preemptions: counters.preemptions,
      promptTokens: told.prompt,
      cachedTokens: counters.prefixCacheHits,
      generationTokens: told.generation,
      steps: told.steps,
    })
    events.at(nowMs + sampleMs, sample)
  }

  for (const request of simulation.requests) {
    if (request.lane === 'realtime') {
      events.at(request.atMs, () => {
        stats.realtime.arrived(request)
        gate.add(asBatcherRequest(request), { nowMs })
      })
    }
  }
  events.at(0, sample)
  let wakeMs = Number.POSITIVE_INFINITY
  for (let next = events.take(); next && next.timeMs <= untilMs && left > 0; next = events.take()) {
    nowMs = next.timeMs
    next.run()
    // What happens at one time is seen together.
    if (events.nextMs() === nowMs) continue
    if (wakeMs <= nowMs) wakeMs = Number.POSITIVE_INFINITY
    pump()
    const dueMs = gate.nextDueMs(nowMs)
    if (dueMs !== undefined && dueMs > nowMs && dueMs < wakeMs) {
      wakeMs = dueMs
      events.at(dueMs, () => {})
    }
  }
  const { prefixCacheHits, prefixCacheQueries, preemptions } = engine.counters
  return {
    durationMs: nowMs,
    realtime: stats.realtime.report(nowMs),
    standard: stats.standard.report(nowMs),
    batch: stats.batch.report(nowMs),
    prefixHitRate: prefixCacheQueries === 0 ? 0 : prefixCacheHits / prefixCacheQueries,
    enginePreemptions: preemptions,
    preempted,
    gpuHours: nowMs / 3_600_000,
  }
}

function asBatcherRequest(of: SimRequest): BatcherRequest {
  return {
    id: of.id,
    lane: of.lane,
    model: 'simulated',
    batchId: of.lane === 'realtime' ? null : 'batch_simulated',
    prefixGroup: of.prefixGroup,
    bytes: of.promptTokens * 4,
    estTokens: of.promptTokens + of.outputTokensMax,
    deadlineMs: of.atMs + 600_000,
    streams: of.lane === 'realtime',
  }
}

function usageOf({ of }: Work, cachedTokens: number): Usage {
  const { outputTokens, promptTokens } = of
  return { promptTokens, completionTokens: outputTokens, cachedTokens, reasoningTokens: 0 }
}
