import { z } from 'zod'
import { makeRandom } from '../text/random.ts'

/**
 * The failures that can be injected.
 *
 *  500, 503, 429   that status at once (503 and 429 with Retry-After)
 *  hang            accepts the request, sends nothing, not even headers
 *  hang-stream     a stream stops half-way and stays open (not streamed: as `hang`)
 *  stream-error    a stream carries an error chunk half-way, inside its 200 (not streamed: 500)
 *  abort           200 with finish_reason "abort" and half the text
 *  truncate        200 whose JSON is cut in half
 *  reset           the connection is reset half-way
 *  crash           the whole engine dies: sockets cut, port closed, in the CLI exit code 1
 *  wedge           the engine stops making progress for everybody; /health stays fine
 */
export const failureKinds = [
  '500',
  '503',
  '429',
  'hang',
  'hang-stream',
  'stream-error',
  'abort',
  'truncate',
  'reset',
  'crash',
  'wedge',
] as const

export type FailureKind = (typeof failureKinds)[number]

const rate = z.number().min(0).max(1)

/** Share of requests, 0 to 1, that fail in each way; one request fails in one way at most. */
export const failureRatesSchema = z.strictObject({
  ...(Object.fromEntries(failureKinds.map((kind) => [kind, rate.optional()])) as Record<
    FailureKind,
    z.ZodOptional<typeof rate>
  >),
  /** Seconds for Retry-After; default 1. */
  retryAfterS: z.number().min(0).optional(),
})

export type FailureRates = z.infer<typeof failureRatesSchema>

export interface Failures {
  rates: FailureRates
  /** How this request is to fail, if at all; magic text in the prompt goes before rates. */
  choose(prompt: string): FailureKind | undefined
}

// [[sim:500]] always fails so; [[sim:500*2]] fails the first two times that this very prompt is seen.
const magic = new RegExp(`\\[\\[sim:(${failureKinds.join('|')})(?:\\*(\\d+))?\\]\\]`)
const promptsRememberedMax = 10_000

/** Draws failures from a seed, so the same requests in the same order fail the same way. */
export function makeFailures(options: { seed: number; rates: FailureRates }): Failures {
  const random = makeRandom(options.seed ^ 0x0f0f)
  const seen = new Map<string, number>()

  function fromPrompt(prompt: string): FailureKind | undefined {
    const match = prompt.includes('[[sim:') ? magic.exec(prompt) : null
    if (!match) return undefined
    const kind = match[1] as FailureKind
    if (match[2] === undefined) return kind
    const times = seen.get(prompt) ?? 0
    if (seen.size >= promptsRememberedMax) seen.clear()
    seen.set(prompt, times + 1)
    return times < Number(match[2]) ? kind : undefined
  }

  return {
    rates: options.rates,
    choose(prompt) {
      const asked = fromPrompt(prompt)
      if (asked) return asked
      let drawn = random()
      for (const kind of failureKinds) {
        drawn -= this.rates[kind] ?? 0
        if (drawn < 0) return kind
      }
      return undefined
    },
  }
}

/** The output length that `[[sim:tokens=N]]` in a prompt asks for. */
export function exactTokensIn(prompt: string): number | undefined {
  const match = prompt.includes('[[sim:') ? /\[\[sim:tokens=(\d{1,6})\]\]/.exec(prompt) : null
  return match ? Math.max(1, Number(match[1])) : undefined
}
