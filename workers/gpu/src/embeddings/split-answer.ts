import { type Answer, field, noUsage } from '../engine/outcome.ts'
import type { EmbeddingCall } from './embedding-call.ts'

/**
 * The answer of each call out of the one that they shared; undefined when it does not hold an embedding for each of
 * their inputs. Their prompt tokens add up to those that the engine counted.
 */
export function splitAnswer(answer: Answer, calls: readonly EmbeddingCall[]): Answer[] | undefined {
  const parsed: unknown = JSON.parse(answer.body.toString())
  const found = embeddingsOf(field(parsed, 'data'))
  const wanted = calls.reduce((sum, { inputs }) => sum + inputs.length, 0)
  if (found?.length !== wanted) return undefined
  const { data: _, usage: __, ...rest } = parsed as Record<string, unknown>
  const shares = shareOut(
    answer.usage.promptTokens,
    calls.map(({ tokens }) => tokens.reduce((sum, count) => sum + count, 0)),
  )
  let from = 0
  return calls.map(({ inputs }, i) => {
    const data = found.slice(from, from + inputs.length).map((item, index) => ({ ...item, index }))
    from += inputs.length
    const promptTokens = shares[i] ?? 0
    const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens }
    return {
      ...answer,
      body: Buffer.from(JSON.stringify({ ...rest, data, usage })),
      usage: { ...noUsage, promptTokens },
    }
  })
}

/** In the order of their inputs; undefined when one is missing or there twice. */
function embeddingsOf(data: unknown): object[] | undefined {
  if (!Array.isArray(data)) return undefined
  const inOrder: object[] = []
  for (const [position, item] of data.entries()) {
    const index = field(item, 'index') ?? position
    if (typeof index !== 'number' || field(item, 'embedding') === undefined || inOrder[index] !== undefined) {
      return undefined
    }
    inOrder[index] = item as object
  }
  return Object.keys(inOrder).length === data.length && inOrder.length === data.length ? inOrder : undefined
}

/** Shares `total` out by weight in whole numbers that add up to it: what is over goes to the largest remainders. */
export function shareOut(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0)
  const exact = weights.map((weight) => (sum > 0 ? (total * weight) / sum : total / weights.length))
  const shares = exact.map(Math.floor)
  const byRemainder = exact
    .map((share, i) => ({ i, remainder: share - Math.floor(share) }))
    .sort((a, b) => b.remainder - a.remainder)
  let over = total - shares.reduce((all, share) => all + share, 0)
  for (const { i } of byRemainder) {
    if (over-- <= 0) break
    shares[i] = (shares[i] ?? 0) + 1
  }
  return shares
}
