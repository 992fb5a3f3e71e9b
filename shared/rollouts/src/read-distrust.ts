import type { AliasRule } from '@forebay/router'
import type { Queryable, Row } from '@forebay/store'

const looked = 200

/** Why the small model of a rule is not to be used for now; undefined when it may. */
export type Distrust = (rule: AliasRule) => string | undefined

/** How the answers of a rule's two models compare. */
export interface Agreement {
  /** Of so many latest comparisons … */
  readonly checks: number
  /** … so many agree. */
  readonly agreed: number
  /** Why the small model is not used for now; undefined when it is. */
  readonly distrust: string | undefined
}

/**
 * Of each rule that chooses by complexity, whether the latest 200 comparisons of its two models agree as often as it
 * asks. While they do not, the large model answers; comparing goes on, so that the small one comes back.
 */
export async function readDistrust(db: Queryable, rules: readonly AliasRule[]): Promise<Distrust> {
  const agreements = await readAgreements(db, rules)
  return (rule) => agreements.get(rule)?.distrust
}

/** The latest 200 comparisons of each rule that chooses by complexity; other rules are not in it. */
export async function readAgreements(
  db: Queryable,
  rules: readonly AliasRule[],
): Promise<ReadonlyMap<AliasRule, Agreement>> {
  const agreements = new Map<AliasRule, Agreement>()
  for (const rule of rules) {
    if (!rule.complexity) continue
    const { agreementMin, large, samplesMin, small } = rule.complexity
    const [row] = await db.query<Row & { checks: number; agreed: number }>(
      `SELECT count(*)::int AS checks, (count(*) FILTER (WHERE agreed))::int AS agreed FROM (
         SELECT agreed FROM complexity_checks WHERE alias = $1 AND small = $2 AND large = $3
         ORDER BY checked_at DESC LIMIT $4) AS latest`,
      [rule.alias, small, large, Math.max(looked, samplesMin)],
    )
    const { agreed, checks } = row ?? { agreed: 0, checks: 0 }
    const share = (agreed / checks).toFixed(2)
    const trusted = checks < samplesMin || agreed >= checks * agreementMin
    const why = `${small} agrees with it in ${share} of ${checks} comparisons only, ${agreementMin} is asked`
    agreements.set(rule, { checks, agreed, distrust: trusted ? undefined : why })
  }
  return agreements
}
