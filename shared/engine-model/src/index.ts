export { groupBlockHashes, hashBlocks, hashString, mix } from './block-hashes.ts'
export {
  type EngineCounters,
  EngineModel,
  type EngineModelOptions,
  resolveLimits,
  type StepResult,
} from './engine-model.ts'
export {
  type EngineLimits,
  type FixedProfile,
  type Profile,
  type ProfileName,
  profiles,
  type StepCost,
  type StepProfile,
} from './profile.ts'
export type { EngineRequest, EngineSequence } from './sequence.ts'
export { type Queued, type SchedulingPolicy, WaitingQueue } from './waiting-queue.ts'
