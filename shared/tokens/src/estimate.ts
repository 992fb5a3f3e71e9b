/**
 * Tokens of a text by its bytes. Four bytes a token is within a quarter for English and code; `bytesPerToken` is the
 * learned ratio of a model or batch where one is known.
 */
export function estimatePromptTokens(bytes: number, bytesPerToken = 4): number {
  return Math.ceil(bytes / bytesPerToken)
}

/** Output tokens assumed for a request that names no limit. */
export const defaultOutputTokens = 256

/** The most that is ever reserved: a client may name any number, and sums of these are counted in whole numbers. */
const outputTokensMax = 1_000_000_000

/** Output tokens to reserve: the request's own limit if it names one, times its `n`; at most a billion. */
export function estimateOutputTokens(body: {
  max_tokens?: unknown
  max_completion_tokens?: unknown
  n?: unknown
}): number {
  const limit = [body.max_completion_tokens, body.max_tokens].find(
    (v): v is number => typeof v === 'number' && v >= 0 && Number.isFinite(v),
  )
  const choices = typeof body.n === 'number' && body.n >= 1 ? body.n : 1
  return Math.min(Math.ceil((limit ?? defaultOutputTokens) * choices), outputTokensMax)
}
