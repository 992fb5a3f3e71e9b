import type { AliasRule } from '@forebay/router'
import type { Queryable, Row } from '@forebay/store'

const looked = 200

/** Why the small model of a rule is not to be used for now; undefined when it may. */
export type Distrust = (rule: AliasRule) => string | undefined

/**
 * Of each rule that chooses by complexity, whether the latest 200 comparisons of its two models agree as often as it
 * asks. While they do not, the large model answers; comparing goes on, so that the small one comes back.
 */
export async function readDistrust(db: Queryable, rules: readonly AliasRule[]): Promise<Distrust> {
  const reasons = new Map<AliasRule, string>()
  for (const rule of rules) {
    if (!rule.complexity) continue
    const { agreementMin, large, samplesMin, small } = rule.complexity
    const [row] = await db.query<Row & { checks: number; agreed: number }>(
      `SELECT count(*)::int AS checks, (count(*) FILTER (WHERE agreed))::int AS agreed FROM (
         SELECT agreed FROM complexity_checks WHERE alias = $1 AND small = $2 AND large = $3
         ORDER BY checked_at DESC LIMIT $4) AS latest`,
      [rule.alias, small, large, Math.max(looked, samplesMin)],
    )
    if (!row || row.checks < samplesMin || row.agreed >= row.checks * agreementMin) continue
    const share = (row.agreed / row.checks).toFixed(2)
    reasons.set(rule, `${small} agrees with it in ${share} of ${row.checks} comparisons only, ${agreementMin} is asked`)
  }
  return (rule) => reasons.get(rule)
}
