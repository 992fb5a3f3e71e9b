export { compareLatency, compareShares, type StratumFigures, type VersionFigures } from './compare-versions.ts'
export { judgeRollout, type RolloutVerdict } from './judge-rollout.ts'
export { type ModelVersions, type VersionsInPools, versionFor, versionsOf } from './model-versions.ts'
export { moveRollout, type RolloutMove, recordStart } from './move-rollout.ts'
export { type Distrust, readAgreements, readDistrust } from './read-distrust.ts'
export { readFigures } from './read-figures.ts'
export { readQualityFigures } from './read-quality-figures.ts'
export {
  type Rollout,
  type RolloutRules,
  readVersions,
  rolloutColumns,
  rolloutRulesSchema,
  rolloutRulesUsual,
  versionName,
} from './rollout.ts'
