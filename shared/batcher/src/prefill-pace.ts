/**
 * Prompt tokens that were sent and, as far as one can tell, not yet computed: those in the engine's step under way, and
 * those for the next. A live request's are over with its first token. A batch request's first token is not seen: where
 * steps begin is known from live streams, and without them its prompt is taken as computed when its time is over.
 */
export interface PrefillPace {
  /** Prompt tokens in the step under way. */
  readonly now: number
  /** Prompt tokens sent too late for that. */
  readonly next: number
  /** Requests whose prompts those are, but for those that should long have been computed: they wait in the engine. */
  underWay(nowMs: number): number
  /** Whether one of those that wait in the engine is a live request. */
  overdue(nowMs: number): boolean
  /** When the step under way began; negative infinity before a step was seen. */
  readonly stepBeganMs: number
  /** `untilMs`: when it should be over at the latest; it then is, but for a request whose first token will be `seen`. */
  add(id: string, prompt: { tokens: number; nowMs: number; untilMs: number; seen: boolean }): void
  has(id: string): boolean
  remove(id: string): void
  /** A live token came: a step has just ended and another begun. Answers how long it was, if its begin was seen too. */
  stepEnded(nowMs: number): number | undefined
  /** Forgets what is over. */
  expire(nowMs: number): void
  /** When something is next over; undefined when nothing is. */
  nextDueMs(): number | undefined
}

// Tokens of one step reach us over several connections, a little apart.
const sameStepMs = 2
// A request, and the news of a step's end, are on their way for so long together.
const roundTripMs = 2
// Two live tokens further apart were not of neighbouring steps, or nothing can be told from them.
const gapMaxMs = 2_000

interface Entry {
  readonly tokens: number
  readonly atMs: number
  readonly untilMs: number
  readonly seen: boolean
  inStep: boolean
}

/** Starts with nothing outstanding. */
export function makePrefillPace(): PrefillPace {
  const entries = new Map<string, Entry>()
  let now = 0
  let next = 0
  let stepBeganMs = Number.NEGATIVE_INFINITY
  const remove = (id: string) => {
    const entry = entries.get(id)
    if (!entry) return
    entries.delete(id)
    if (entry.inStep) now -= entry.tokens
    else next -= entry.tokens
  }
  return {
    get now() {
      return now
    },
    get next() {
      return next
    },
    get stepBeganMs() {
      return stepBeganMs
    },
    underWay(nowMs) {
      let count = 0
      for (const { untilMs } of entries.values()) if (nowMs < untilMs) count++
      return count
    },
    overdue(nowMs) {
      for (const { seen, untilMs } of entries.values()) if (seen && nowMs >= untilMs) return true
      return false
    },
    add(id, { nowMs, seen, tokens, untilMs }) {
      entries.set(id, { tokens, atMs: nowMs, untilMs, seen, inStep: false })
      next += tokens
    },
    has: (id) => entries.has(id),
    remove,
    stepEnded(nowMs) {
      if (nowMs - stepBeganMs < sameStepMs) return undefined
      for (const [id, entry] of entries) {
        if (entry.inStep && !entry.seen) remove(id)
        else if (!entry.inStep && entry.atMs <= nowMs - roundTripMs) {
          entry.inStep = true
          next -= entry.tokens
          now += entry.tokens
        }
      }
      const lengthMs = nowMs - stepBeganMs
      stepBeganMs = nowMs
      return lengthMs < gapMaxMs ? lengthMs : undefined
    },
    expire(nowMs) {
      for (const [id, { seen, untilMs }] of entries) if (!seen && untilMs <= nowMs) remove(id)
    },
    nextDueMs() {
      let due = Number.POSITIVE_INFINITY
      for (const { seen, untilMs } of entries.values()) if (!seen) due = Math.min(due, untilMs)
      return due === Number.POSITIVE_INFINITY ? undefined : due
    },
  }
}
