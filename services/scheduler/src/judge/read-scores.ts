import { type JudgeCriterion, judgeCriteria } from '@forebay/contracts'
import { answerTexts } from '@forebay/quality'

/** What a judge gave one answer. */
export type Scores = Readonly<Record<JudgeCriterion, number>>

/**
 * The scores in a judge's answer, read strictly: one text, JSON and nothing else, each criterion a whole number from 1 to
 * 5 and no other member. Undefined for anything else: what is not clear is no score.
 */
export function readScores(answer: unknown): Scores | undefined {
  const [text, ...more] = answerTexts(answer)
  if (text === undefined || more.length > 0) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  const given = new Map(Object.entries(value))
  if (given.size !== judgeCriteria.length) return undefined
  const scores: Partial<Record<JudgeCriterion, number>> = {}
  for (const criterion of judgeCriteria) {
    const score: unknown = given.get(criterion)
    if (typeof score !== 'number' || !Number.isInteger(score) || score < 1 || score > 5) return undefined
    scores[criterion] = score
  }
  return scores as Scores
}

/** The criteria whose score is below the least allowed. */
export function criteriaBelow(scores: Scores, scoreMin: number): JudgeCriterion[] {
  return judgeCriteria.filter((criterion) => scores[criterion] < scoreMin)
}
