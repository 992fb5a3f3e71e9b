/** A signal that follows others until it is released. */
export interface FollowingSignal {
  readonly signal: AbortSignal
  /** Lets go of those it follows. */
  release(): void
}

/**
 * Aborts with the first of several signals, and its reason. In place of `AbortSignal.any`, which leaves something of each
 * call (70 bytes on Node 20) in a signal that lives as long as its process: what polls for ever would grow for ever.
 */
export function eitherSignal(...sources: readonly AbortSignal[]): FollowingSignal {
  const either = new AbortController()
  const follow = (event: Event) => either.abort(event.target instanceof AbortSignal ? event.target.reason : undefined)
  const release = () => {
    for (const source of sources) source.removeEventListener('abort', follow)
  }
  const aborted = sources.find((source) => source.aborted)
  if (aborted) either.abort(aborted.reason)
  else for (const source of sources) source.addEventListener('abort', follow, { once: true })
  return { signal: either.signal, release }
}
