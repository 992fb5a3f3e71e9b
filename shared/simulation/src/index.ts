export { makeConstantCap } from './constant-cap.ts'
export type { LaneReport, Percentiles } from './lane-stats.ts'
export { type Gate, type Simulation, type SimulationReport, simulate } from './simulate.ts'
export { type Bursts, batchLines, burstyLive, type SimRequest } from './workload.ts'
