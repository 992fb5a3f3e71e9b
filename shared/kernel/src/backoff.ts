/** Exponential back-off with full jitter: a random wait in [base/2, base) where base = min(max, first·2^(attempt-1)). */
export function backoffMs(attempt: number, options: { firstMs: number; maxMs: number; random?: () => number }): number {
  const base = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(30, Math.max(0, attempt - 1)))
  return Math.round(base * (0.5 + 0.5 * (options.random ?? Math.random)()))
}
