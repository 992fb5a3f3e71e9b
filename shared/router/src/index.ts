export { answersAgree } from './agreement.ts'
export { type Candidate, type Spill, type Weights, weightsUsual } from './candidate.ts'
export { chooseRoute, type RouteDecision } from './choose-route.ts'
export { type Complexity, complexityOf } from './complexity.ts'
export { narrow } from './narrow.ts'
export { proximity } from './proximity.ts'
export {
  type AliasedRequest,
  type AliasRule,
  type ComplexityRule,
  type Resolved,
  resolveAlias,
} from './resolve-alias.ts'
export { scorePools } from './score-pools.ts'
export { shareOf } from './share-of.ts'
export { rankSticky } from './sticky.ts'
