export { makeLocalScaling } from './scalers/local-scaling.ts'
export { type Autoscaler, startAutoscaler } from './start-autoscaler.ts'
