import type { AnswerQuality } from '@forebay/contracts'
import { answerTexts } from './answer-texts.ts'
import { perplexityOf } from './perplexity.ts'
import { repetitionOf } from './repetition.ts'

/**
 * What can be said of a whole answer without a model: of several choices the one that repeats itself most, and the
 * perplexity of all their tokens. Undefined when nothing can.
 */
export function measureAnswer(answer: unknown): AnswerQuality | undefined {
  const repetitions = answerTexts(answer).flatMap((text) => repetitionOf(text) ?? [])
  const repetition = repetitions.length > 0 ? rounded(Math.max(...repetitions)) : null
  const perplexity = perplexityOf(answer)
  if (repetition === null && perplexity === null) return undefined
  return { repetition, perplexity: perplexity === null ? null : rounded(perplexity) }
}

function rounded(value: number): number {
  return Number(value.toPrecision(4))
}
