/**
 * Calls `fn` until it returns something truthy without throwing, and answers that. Rejects after `timeoutMs` (default
 * 30 s) with `what` was awaited and the last thing that was wrong.
 */
export async function eventually<T>(
  fn: () => T | Promise<T>,
  options: { timeoutMs?: number; what: string },
): Promise<NonNullable<T>> {
  const timeoutMs = options.timeoutMs ?? 30_000
  const deadline = Date.now() + timeoutMs
  for (let waitMs = 5; ; waitMs = Math.min(100, waitMs * 1.5)) {
    let cause: unknown
    try {
      const found = await fn()
      if (found) return found
    } catch (err) {
      cause = err
    }
    if (Date.now() >= deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${options.what}`, { cause })
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}
