import { ForebayError } from '@forebay/kernel'
import type { GpuSpec, ModelShape } from './catalogue.ts'
import { type EngineMemory, engineMemory } from './engine-memory.ts'
import type { Precision } from './precision.ts'
import { type ReplicaSpeed, replicaSpeed } from './replica-speed.ts'

/** What is to be served, and within what. */
export interface CapacityQuestion {
  model: ModelShape
  precision: Precision
  gpus: readonly GpuSpec[]
  /** GPUs of one replica that are tried. */
  tensorParallel: readonly number[]
  /** Longest prompt and output of one request, tokens. */
  contextTokens: number
  /** Requests that are in flight at once at the peak, over all replicas; undefined: what the rate makes of it. */
  concurrency?: number | undefined
  requestsPerDay: number
  inputTokens: number
  outputTokens: number
  /** The busiest hour over the mean. */
  peakFactor: number
  ttftMs?: number | undefined
  interTokenMs?: number | undefined
  budgetPerMonth?: number | undefined
  /** What a replica was measured to get through, in place of the estimate. */
  measured?: { tokensPerSecond: number; ttftMs?: number | undefined } | undefined
}

/** One way to serve it. */
export interface CapacityOption {
  readonly gpu: string
  readonly gpusPerReplica: number
  readonly memory: EngineMemory
  /** Null when it does not fit. */
  readonly speed: (ReplicaSpeed & { readonly inFlight: number; readonly measured: boolean }) | null
  readonly replicas: number | null
  readonly gpus: number | null
  /** Null when it does not fit, or has no price. */
  readonly monthlyCost: number | null
  readonly costPerMillionTokens: number | null
  /** What is against it, with the numbers; empty when it meets all. */
  readonly misses: readonly string[]
}

/** Every option, cheapest that meets all first; those that miss something last. */
export interface CapacityPlan {
  /** Requests a second at the peak. */
  readonly peakRequestsPerSecond: number
  readonly options: readonly CapacityOption[]
  /** The cheapest option that meets all. */
  readonly chosen: CapacityOption | null
}

const hoursPerMonth = 24 * 30
const secondsPerDay = 86_400
const inFlightMax = 1024
// Engines are planned to be this full at the peak: beyond it, waiting grows without bound.
const loadMax = 0.8

/** Works out every option. Throws `invalid_value` for a question that contradicts itself. */
export function planCapacity(question: CapacityQuestion): CapacityPlan {
  const { contextTokens, inputTokens, model, outputTokens, peakFactor, requestsPerDay } = question
  if (inputTokens + outputTokens > contextTokens) {
    const sum = `${inputTokens} + ${outputTokens} = ${inputTokens + outputTokens}`
    throw invalid('context', `A request of ${sum} tokens is longer than the context of ${contextTokens}.`)
  }
  if (contextTokens > model.contextTokens) {
    throw invalid(
      'context',
      `${model.name} has a context of ${model.contextTokens} tokens; ${contextTokens} were asked.`,
    )
  }
  const peakRequestsPerSecond = (requestsPerDay / secondsPerDay) * peakFactor
  const options = question.gpus
    .flatMap((gpu) => question.tensorParallel.map((gpus) => makeOption(question, gpu, gpus, peakRequestsPerSecond)))
    .sort(byMissesThenCost)
  const chosen = options.find(({ misses }) => misses.length === 0) ?? null
  return { peakRequestsPerSecond, options, chosen }
}

function makeOption(question: CapacityQuestion, gpu: GpuSpec, gpus: number, peak: number): CapacityOption {
  const { concurrency, contextTokens, inputTokens, measured, outputTokens, requestsPerDay } = question
  const memory = engineMemory({ ...question, gpu, gpus, contextTokens })
  const base = { gpu: gpu.name, gpusPerReplica: gpus, memory }
  if (memory.requestsMax === 0) {
    const need = gb(memory.weightsGb + memory.runtimeGb + memory.kvPerRequestGb)
    const why = `does not fit: weights, runtime and one request need ${need}, ${gpus} x ${gpu.name} give ${gb(memory.usableGb)}`
    const none = { replicas: null, gpus: null, monthlyCost: null, costPerMillionTokens: null }
    return { ...base, speed: null, ...none, misses: [why] }
  }
  const speedAt = (inFlight: number) => replicaSpeed({ ...question, gpu, gpus, inFlight })
  const inFlight = largestWithin(Math.min(memory.requestsMax, inFlightMax, concurrency ?? inFlightMax), (n) => {
    return question.interTokenMs === undefined || speedAt(n).interTokenMs <= question.interTokenMs
  })
  const estimate = speedAt(inFlight)
  const speed = measured ? asMeasured(measured, estimate, inputTokens + outputTokens) : estimate
  const forRate = peak / (speed.requestsPerSecond * loadMax)
  const forConcurrency = concurrency === undefined ? 0 : concurrency / inFlight
  const replicas = Math.max(1, Math.ceil(forRate), Math.ceil(forConcurrency))
  const monthlyCost = gpu.costPerHour === null ? null : replicas * gpus * gpu.costPerHour * hoursPerMonth
  const tokensPerMonth = requestsPerDay * 30 * (inputTokens + outputTokens)
  return {
    ...base,
    speed: { ...speed, inFlight, measured: measured !== undefined },
    replicas,
    gpus: replicas * gpus,
    monthlyCost,
    costPerMillionTokens: monthlyCost === null ? null : (monthlyCost / tokensPerMonth) * 1e6,
    misses: missesOf(question, speed, monthlyCost),
  }
}

function asMeasured(measured: NonNullable<CapacityQuestion['measured']>, estimate: ReplicaSpeed, tokens: number) {
  const { tokensPerSecond, ttftMs = estimate.ttftMs } = measured
  return { ...estimate, tokensPerSecond, requestsPerSecond: tokensPerSecond / tokens, ttftMs }
}

function missesOf(question: CapacityQuestion, speed: ReplicaSpeed, monthlyCost: number | null): string[] {
  const { budgetPerMonth, interTokenMs, ttftMs } = question
  const late = (what: string, is: number, wanted: number | undefined) =>
    wanted !== undefined && is > wanted ? [`${what} ${is.toFixed(0)} ms, wanted ${wanted} ms`] : []
  const dear =
    budgetPerMonth === undefined
      ? []
      : monthlyCost === null
        ? ['no price in the catalogue']
        : monthlyCost > budgetPerMonth
          ? [`${monthlyCost.toFixed(0)} a month, budget ${budgetPerMonth}`]
          : []
  return [
    ...late('first token', speed.ttftMs, ttftMs),
    ...late('between tokens', speed.interTokenMs, interTokenMs),
    ...dear,
  ]
}

/** The largest of 1…max at which `fits` holds, which it does up to some number; 1 when it never does. */
function largestWithin(max: number, fits: (inFlight: number) => boolean): number {
  let [low, high] = [1, max]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return low
}

function byMissesThenCost(a: CapacityOption, b: CapacityOption): number {
  const rank = ({ misses, speed }: CapacityOption) => (speed === null ? 2 : misses.length > 0 ? 1 : 0)
  const price = ({ monthlyCost }: CapacityOption) => monthlyCost ?? Number.MAX_VALUE
  // Of those on which it does not fit, the largest is the nearest.
  if (rank(a) === 2 && rank(b) === 2) return b.memory.usableGb - a.memory.usableGb
  return rank(a) - rank(b) || price(a) - price(b) || (a.gpus ?? 0) - (b.gpus ?? 0)
}

function gb(value: number): string {
  return `${value.toFixed(1)} GB`
}

function invalid(param: string, message: string): ForebayError {
  return new ForebayError('invalid_value', message, { param })
}
