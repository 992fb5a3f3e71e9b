/** A queue's keys at Redis. */
export interface StreamKeys {
  /** The stream of what is ready or leased. */
  readonly ready: string
  /** The sorted set of what is not yet due. */
  readonly delayed: string
  /** The stream of dead letters. */
  readonly dead: string
}

/** In braces what places keys in a cluster: the scripts need all of a queue's on one node. */
export function keysOf(queue: string): StreamKeys {
  const ready = `forebay:stream:{${queue}}`
  return { ready, delayed: `${ready}:delayed`, dead: `${ready}:dead` }
}
