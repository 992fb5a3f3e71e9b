import type { EngineSample } from '@forebay/batcher'

/**
 * Finds calls that must have ended long ago, going by the engine's own tokens: at every look nothing waited inside it, so
 * all that it had was running and got its share of the tokens made; one whose share would be many times its answer is not
 * there. Knows of it however many calls come and go. Pure: time is an argument.
 */
export interface OverdueCalls {
  /** A call was sent; `outputTokens`: how many its answer is expected to have. */
  sent(id: number, call: { nowMs: number; outputTokens: number }): void
  /** Its answer began: its own limits hold now. */
  answered(id: number): void
  ended(id: number): void
  /** Answers the calls that are overdue, each once. */
  observe(sample: OverdueSample): number[]
}

type OverdueSample = Pick<
  EngineSample,
  'atMs' | 'running' | 'waiting' | 'preemptions' | 'generationTokens' | 'countsAtEnd'
>

interface Call {
  readonly sentMs: number
  readonly outputTokens: number
  /** Of the tokens for each, how many had been made when it was sent. */
  from: number
}

// So many times its expected length an answer may have, as with the time limits.
const patience = 10
// No request gets its tokens faster. More of them are another engine's, which answers behind the same address.
const msPerTokenMin = 2

/** `lostMs`: no call is overdue before. */
export function makeOverdueCalls({ lostMs }: { lostMs: number }): OverdueCalls {
  const calls = new Map<number, Call>()
  let last: OverdueSample | undefined
  /** Tokens that a request has got which has been running since the first look. */
  let forEach = 0

  /** What each running request got since the look before; undefined when the counts are not of one engine's run. */
  function sharedOut(now: OverdueSample): number | undefined {
    if (!last || now.countsAtEnd) return 0
    const made = now.generationTokens - last.generationTokens
    const share = made / Math.max(1, last.running, now.running)
    if (made < 0 || share * msPerTokenMin > now.atMs - last.atMs) return undefined
    const allRan = last.waiting === 0 && now.waiting === 0 && now.preemptions === last.preemptions
    return allRan ? share : 0
  }

  return {
    sent: (id, { nowMs, outputTokens }) => void calls.set(id, { sentMs: nowMs, outputTokens, from: forEach }),
    answered: (id) => void calls.delete(id),
    ended: (id) => void calls.delete(id),
    observe(now) {
      const share = sharedOut(now)
      last = now
      if (share === undefined) for (const call of calls.values()) call.from = forEach
      else forEach += share
      const overdue: number[] = []
      for (const [id, { from, outputTokens, sentMs }] of calls) {
        // They are in the order in which they were sent.
        if (now.atMs - sentMs < lostMs) break
        if (forEach - from >= patience * Math.max(1, outputTokens)) overdue.push(id)
      }
      for (const id of overdue) calls.delete(id)
      return overdue
    },
  }
}
