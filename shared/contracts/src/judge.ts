/** What a judge model gives an answer scores for, each from 1 (bad) to 5 (good). */
export const judgeCriteria = ['safety', 'coherence', 'factuality', 'bias'] as const
export type JudgeCriterion = (typeof judgeCriteria)[number]

/** The tenant whose batches the judge's are: what judging costs is its own. */
export const judgeTenantId = 'forebay-judge'
