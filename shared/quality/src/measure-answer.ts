import type { AnswerQuality } from '@forebay/contracts'
import { answerTexts } from './answer-texts.ts'
import { perplexityOf } from './perplexity.ts'
import { repetitionOf } from './repetition.ts'

/**
 * What can be said of a whole answer without a model: of several choices the one that repeats itself most, and the
 * perplexity of all their tokens. Undefined when nothing can.
 */
export function measureAnswer(answer: unknown): AnswerQuality | undefined {
  let most: number | null = null
  for (const text of answerTexts(answer)) {
    const share = repetitionOf(text)
    if (share !== null && share > (most ?? -1)) most = share
  }
  const repetition = most === null ? null : rounded(most)
  const perplexity = perplexityOf(answer)
  if (repetition === null && perplexity === null) return undefined
  return { repetition, perplexity: perplexity === null ? null : rounded(perplexity) }
}

function rounded(value: number): number {
  // Of most answers, and by far cheaper than to write and to read a number.
  return value === 0 || value === 1 ? value : Number(value.toPrecision(4))
}
