export {
  decodePlanEntries,
  flagSameAsPrevious,
  type PlanEntry,
  planEntryBytes,
  planLimits,
  readPlanEntry,
  writePlanEntry,
} from './plan-entry.ts'
