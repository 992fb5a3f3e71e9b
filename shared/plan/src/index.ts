export { endUserHash, endUserIn, endUserOf } from './end-user.ts'
export { findMembers } from './json-members.ts'
export {
  clearSameAsPrevious,
  decodePlanEntries,
  flagSameAsPrevious,
  isSameAsPrevious,
  type PlanEntry,
  planEntryBytes,
  planLimits,
  readPlanEntry,
  writePlanEntry,
} from './plan-entry.ts'
export { withModel } from './with-model.ts'
