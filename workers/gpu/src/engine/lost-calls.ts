import type { EngineSample } from '@forebay/batcher'

/**
 * Finds calls that the engine does not work on, though it never answered them: at every look for a while it told of
 * fewer requests than wait for it here. Other calls may take as long as they like: without such a difference none is
 * found. Pure: time is an argument.
 */
export interface LostCalls {
  /** A call was sent; `limitMs`: how long it may take at most. */
  sent(id: number, call: { nowMs: number; limitMs: number }): void
  /** Its answer began: it is not lost. */
  answered(id: number): void
  ended(id: number): void
  /** Answers the calls that are lost. */
  observe(sample: Pick<EngineSample, 'atMs' | 'running' | 'waiting'>): number[]
}

interface Call {
  readonly sentMs: number
  readonly limitMs: number
  answered: boolean
  /** It was in flight when the engine told of as many as there were. */
  known: boolean
}

const looksMin = 8
// A call is on its way to the engine, or its answer from there, for so long; the engine then tells of one fewer.
const onTheWayMs = 50
// That so many calls are sent that one is on its way at every look must be less likely than this.
const chanceMax = 0.001

/** `lostMs`: for so long the engine must have told of too few. */
export function makeLostCalls(options: { lostMs: number }): LostCalls {
  const { lostMs } = options
  const calls = new Map<number, Call>()
  let since: { atMs: number; looks: number; missing: number; sent: number } | undefined
  /** The most in flight of which the engine knew all: behind a balancer of several engines, one tells of a part only. */
  let agreedOn = 0

  function missingNow(nowMs: number): number {
    if (!since || since.looks < looksMin || nowMs - since.atMs < lostMs) return 0
    if (calls.size > 2 * agreedOn) return 0
    const perSecond = (since.sent / (nowMs - since.atMs)) * 1_000
    const alwaysOneOnTheWay = (1 - Math.exp((-perSecond * onTheWayMs) / 1_000)) ** since.looks
    return alwaysOneOnTheWay < chanceMax ? since.missing : 0
  }

  return {
    sent(id, { limitMs, nowMs }) {
      calls.set(id, { sentMs: nowMs, limitMs, answered: false, known: false })
      if (since) since.sent++
    },
    answered(id) {
      const call = calls.get(id)
      if (call) call.answered = true
    },
    ended: (id) => void calls.delete(id),
    observe({ atMs, running, waiting }) {
      const missing = calls.size - running - waiting
      if (missing <= 0) {
        agreedOn = Math.max(agreedOn, calls.size)
        for (const call of calls.values()) call.known = true
        since = undefined
        return []
      }
      since ??= { atMs, looks: 0, missing, sent: 0 }
      since.looks++
      since.missing = Math.min(since.missing, missing)
      const lost = missingNow(atMs)
      if (lost === 0) return []
      const fromMs = since.atMs
      since = undefined
      // First those that the engine never had; then those that have used up the most of their time.
      const used = ({ known, limitMs, sentMs }: Call) => (known ? 0 : 1) + Math.min(0.99, (atMs - sentMs) / limitMs)
      return [...calls]
        .filter(([, { answered, sentMs }]) => !answered && sentMs <= fromMs)
        .sort(([, a], [, b]) => used(b) - used(a))
        .slice(0, lost)
        .map(([id]) => id)
    },
  }
}
