export { type EngineInterval, type EngineMeter, makeEngineMeter } from './engine-meter.ts'
