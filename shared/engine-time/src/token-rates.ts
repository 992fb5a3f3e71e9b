const newestWeight = 0.1

/** How fast an engine reads prompts and makes tokens, learned from what has ended; in tokens per millisecond. */
export interface TokenRates {
  /** Of one request's prompt. */
  readonly prefill: number
  /** Of one request's answer. All that decode together get a token with each step, so that this is one rate for all. */
  readonly decode: number
  learn(request: {
    promptTokens: number
    prefillMs: number | undefined
    completionTokens: number
    decodeMs: number
  }): void
}

/** Starts with 2,000 and 30 tokens a second, which a request or two correct. */
export function makeTokenRates(): TokenRates {
  let prefill = 2
  let decode = 0.03
  const towards = (old: number, tokens: number, ms: number) =>
    tokens > 0 && ms > 0 ? old + newestWeight * (tokens / ms - old) : old
  return {
    get prefill() {
      return prefill
    },
    get decode() {
      return decode
    },
    learn: ({ completionTokens, decodeMs, prefillMs, promptTokens }) => {
      if (prefillMs !== undefined) prefill = towards(prefill, promptTokens, prefillMs)
      decode = towards(decode, completionTokens, decodeMs)
    },
  }
}
