import { field } from './answer-texts.ts'

const perplexityMax = 1_000_000

/**
 * How surprised the model was by its own answer: e to the mean of −ln p over its tokens, 1 or more, capped at a million.
 * Null when the answer does not carry log probabilities: `logprobs` was not asked for.
 */
export function perplexityOf(answer: unknown): number | null {
  const choices = field(answer, 'choices')
  if (!Array.isArray(choices)) return null
  let sum = 0
  let count = 0
  for (const choice of choices) {
    for (const logprob of logprobsOf(field(choice, 'logprobs'))) {
      sum += logprob
      count++
    }
  }
  return count === 0 ? null : Math.min(perplexityMax, Math.max(1, Math.exp(-sum / count)))
}

/** Of a chat answer one entry per token; of a completion a list of numbers, null where there is none. */
function logprobsOf(logprobs: unknown): number[] {
  const content = field(logprobs, 'content')
  const values = Array.isArray(content)
    ? content.map((token) => field(token, 'logprob'))
    : field(logprobs, 'token_logprobs')
  return Array.isArray(values) ? values.filter((value) => typeof value === 'number' && Number.isFinite(value)) : []
}
