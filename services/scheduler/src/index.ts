export type { ChunkColumns } from './plan/cut-chunks.ts'
export { type PlanOutcome, type PlanRules, planBatch } from './plan/plan-batch.ts'
export { storePlan } from './plan/store-plan.ts'
export { type SchedulerOptions, startScheduler } from './scheduler.ts'
