import type { RequestResult, ResultEvent } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'

/** A result and the event it came in. */
export interface Arrival extends RequestResult {
  workerId: string
  partKey: string | null
}

/**
 * The results of several events, their texts made storable. Throws `invalid_value` for a batch line without its line
 * or chunk: it could not be counted.
 */
export function arrivalsOf(events: readonly ResultEvent[]): Arrival[] {
  return events.flatMap((event) =>
    event.results.map((result) => {
      if (result.batchId !== null && (result.line === null || result.chunk === null)) {
        throw new ForebayError(
          'invalid_value',
          `Result "${result.requestId}" is of a batch but names no line and chunk.`,
        )
      }
      return storable({ ...result, workerId: event.workerId, partKey: event.partKey })
    }),
  )
}

/** The same object with every NUL character, which Postgres cannot keep in a text, replaced by U+FFFD. */
export function storable<T extends object>(value: T): T {
  let changed: T | undefined
  // Thousands a second, of which next to none has one: nothing is copied for them.
  for (const key in value) {
    const field = value[key]
    if (typeof field !== 'string' || !field.includes('\u0000')) continue
    changed ??= { ...value }
    changed[key] = field.replaceAll('\u0000', '\ufffd') as typeof field
  }
  return changed ?? value
}
