export { type Autoscaler, startAutoscaler } from './start-autoscaler.ts'
