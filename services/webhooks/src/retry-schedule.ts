const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** Wait before each attempt, in ms: the first at once, the last some 27 hours later. */
export const attemptDelaysMs = [0, 5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 10 * hour]

// An endpoint may ask for patience, but not for ever.
const retryAfterMsMax = 24 * hour

/**
 * How long to wait after failed attempt number `attempt` (from 1), in ms; undefined when it was the last. Up to a
 * fifth of jitter is added, never taken off, and an endpoint's Retry-After can lengthen the wait only.
 */
export function retryDelayMs(
  attempt: number,
  options: { retryAfterMs?: number | undefined; random: () => number },
): number | undefined {
  const delayMs = attemptDelaysMs[attempt]
  if (delayMs === undefined) return undefined
  const askedMs = Math.min(retryAfterMsMax, options.retryAfterMs ?? 0)
  return Math.round(Math.max(delayMs, askedMs) * (1 + 0.2 * options.random()))
}

/** Reads a Retry-After header, in seconds or as a date, as ms from `nowMs`; undefined when it is neither. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value.trim())) return Number(value) * second
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}
