export { type Arrival, type Batcher, type BatcherCounts, makeBatcher } from './batcher.ts'
export type { BatcherRequest, EngineSample, Suspicion } from './request.ts'
