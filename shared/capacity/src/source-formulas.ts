import { ForebayError } from '@forebay/kernel'
import { bytesPerParam, type Precision } from './precision.ts'

/*
 * The calculators of the guide "Introduction to LLM Infrastructure", as it defines and rounds them. They are rough: the
 * KV cache is a share of the weights, whatever the context and however many requests run, and throughput is known for a
 * 7B model only. `planCapacity` counts both; these stand beside it.
 */
const gib = 1024 ** 3

/** Memory of a model by the guide: weights, 20 % of them for the KV cache, 30 % for activations; GiB. */
export function calculateMemory(params: number, precision: Precision) {
  const model = (params * bytesPerParam[precision]) / gib
  const total = model + model * 0.2 + model * 0.3
  return {
    modelGb: round(model),
    kvCacheGb: round(model * 0.2),
    activationGb: round(model * 0.3),
    totalGb: round(total),
    recommendedGpuGb: round(total * 1.2),
  }
}

const sizes = [
  { name: 'T4', memoryGb: 16, fitsGb: 14 },
  { name: 'A10G', memoryGb: 24, fitsGb: 22 },
  { name: 'A100-40GB', memoryGb: 40, fitsGb: 38 },
  { name: 'A100-80GB', memoryGb: 80, fitsGb: 75 },
] as const

/** The GPUs on which a model fits by the guide: weights and half as much again, split over `tensorParallel` GPUs. */
export function estimateGpus(question: { billionParams: number; precision: Precision; tensorParallel: number }) {
  const { billionParams, precision, tensorParallel } = question
  const perGpu = (((billionParams * 1e9 * bytesPerParam[precision]) / gib) * 1.5) / tensorParallel
  return {
    memoryPerGpuGb: round(perGpu),
    recommendations: sizes
      .filter(({ fitsGb }) => perGpu <= fitsGb)
      .map(({ name, memoryGb }) => ({ gpu: name, memoryGb, gpus: tensorParallel })),
  }
}

/** A month's GPUs and their cost by the guide, which knows how many requests a second a GPU serves of a 7B model. */
export function calculateMonthlyLlmCost(question: {
  requestsPerDay: number
  inputTokens: number
  outputTokens: number
  costPerHour: number
  /** Requests a second that one GPU serves. */
  requestsPerSecond: number
}) {
  const { costPerHour, inputTokens, outputTokens, requestsPerDay, requestsPerSecond } = question
  if (requestsPerDay <= 0 || requestsPerSecond <= 0) {
    throw new ForebayError('invalid_value', 'A cost per request needs more than 0 requests.', {
      param: 'requestsPerDay',
    })
  }
  const gpus = Math.max(1, requestsPerDay / 86_400 / requestsPerSecond)
  const monthly = gpus * costPerHour * 24 * 30
  const requests = requestsPerDay * 30
  return {
    gpusNeeded: round(gpus),
    monthlyCost: round(monthly),
    costPerRequest: round(monthly / requests, 4),
    costPerMillionTokens: round((monthly / (requests * (inputTokens + outputTokens))) * 1e6),
  }
}

/** What a month of GPUs costs by the guide, with storage (0.15 a GB), network (0.08 a GB) and what else is paid for. */
export function calculateMonthlyCost(question: {
  costPerHour: number
  gpus: number
  /** Share of the time in which they are paid for; 1 when not given. */
  utilization?: number
  storageGb?: number
  networkGb?: number
  additional?: number
}) {
  const { additional = 0, costPerHour, gpus, networkGb = 1_000, storageGb = 100, utilization = 1 } = question
  const [gpu, storage, network] = [costPerHour * gpus * utilization * 24 * 30, storageGb * 0.15, networkGb * 0.08]
  return {
    gpuMonthly: round(gpu),
    storageMonthly: round(storage),
    networkMonthly: round(network),
    additionalMonthly: round(additional),
    totalMonthly: round(gpu + storage + network + additional),
  }
}

/** The guide's advice for what a request may cost. Both must be more than 0. */
export function recommendStrategy(question: { budgetPerMonth: number; requestsPerDay: number }): string[] {
  const perRequest = question.budgetPerMonth / (question.requestsPerDay * 30)
  if (perRequest < 0.001) {
    return [
      'Critical: Use smallest viable model (7B)',
      'Implement aggressive caching',
      'Use INT8 or INT4 quantization',
      'Consider spot instances for non-critical workloads',
    ]
  }
  if (perRequest < 0.01) {
    return ['Use 7B or 13B model with quantization', 'Implement request batching', 'Use mid-tier GPUs (A10G, T4)']
  }
  return ['Budget allows for larger models or premium GPUs', 'Focus on performance over cost optimization']
}

function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits))
}
