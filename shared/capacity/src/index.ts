export {
  type Catalogue,
  findGpu,
  findModel,
  type GpuSpec,
  guessModel,
  loadCatalogue,
  type ModelShape,
} from './catalogue.ts'
export { type EngineMemory, engineMemory, kvBytesPerToken, weightBytes } from './engine-memory.ts'
export { knownGpu, nearestGpus } from './known-gpus.ts'
export { type CapacityOption, type CapacityPlan, type CapacityQuestion, planCapacity } from './plan-capacity.ts'
export { bytesPerParam, type Precision, parsePrecision } from './precision.ts'
export {
  calculateMemory,
  calculateMonthlyCost,
  calculateMonthlyLlmCost,
  estimateGpus,
  recommendStrategy,
} from './source-formulas.ts'
