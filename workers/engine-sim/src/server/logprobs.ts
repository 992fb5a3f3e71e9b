import { hashString } from '@forebay/engine-model'

/** A log probability that a token always has; plausible, and not the result of any model. */
function logprobOf(piece: string): number {
  return -((hashString(piece) % 200) / 100)
}

/** Chat's form: one entry per token, no alternatives. */
export function chatLogprobs(pieces: readonly string[]): object {
  return {
    content: pieces.map((token) => ({
      token,
      logprob: logprobOf(token),
      bytes: [...Buffer.from(token, 'utf8')],
      top_logprobs: [],
    })),
  }
}

/** The completions form; `offset` is where the first token begins in the text. */
export function completionLogprobs(pieces: readonly string[], offset: number): object {
  let at = offset
  const offsets = pieces.map((piece) => {
    const begins = at
    at += piece.length
    return begins
  })
  return {
    tokens: pieces,
    token_logprobs: pieces.map(logprobOf),
    top_logprobs: pieces.map((piece) => ({ [piece]: logprobOf(piece) })),
    text_offset: offsets,
  }
}
