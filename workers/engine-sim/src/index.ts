export { groupBlockHashes, hashBlocks } from './model/block-hashes.ts'
export {
  type EngineCounters,
  EngineModel,
  type EngineModelOptions,
  type StepResult,
} from './model/engine-model.ts'
export {
  type EngineLimits,
  type FixedProfile,
  type Profile,
  type ProfileName,
  profiles,
  type StepCost,
  type StepProfile,
} from './model/profile.ts'
export type { EngineRequest, EngineSequence } from './model/sequence.ts'
export type { SchedulingPolicy } from './model/waiting-queue.ts'
export { type FailureKind, type FailureRates, failureKinds } from './server/failures.ts'
export type { EngineSimOptions } from './server/settings.ts'
export type { SimLog } from './server/sim-log.ts'
export { type EngineSim, startEngineSim } from './start-engine-sim.ts'
