export { type FailureKind, type FailureRates, failureKinds } from './server/failures.ts'
export type { EngineSimOptions } from './server/settings.ts'
export type { SimLog } from './server/sim-log.ts'
export { type EngineSim, startEngineSim } from './start-engine-sim.ts'
