export { makeScalingPolicy, type ScalingOptions, type ScalingPolicy } from './scaling-policy.ts'
export type { LiveLoad, OutstandingWork, ScalablePool, ScalingDecision, ScalingState } from './scaling-state.ts'
export type { Pace } from './steps.ts'
