import type { IncomingMessage } from 'node:http'

/** What became of the generations of one X-Request-Id. */
interface RequestRecord {
  finished: number
  aborted: number
  promptTokens: number
  generatedTokens: number
}

const recordsMax = 200_000

/**
 * The simulator's own account of what it did, for a checker that trusts no one else's: a generation is `finished`
 * when its last token was made, whether or not anybody received it.
 */
export interface SimLog {
  /** Counts the prompt of a generation that has made its first token. */
  began(requestId: string | undefined, promptTokens: number, cachedTokens: number): void
  generated(requestId: string | undefined, tokens: number): void
  ended(requestId: string | undefined, how: 'finished' | 'aborted'): void
  received(): void
  toJSON(): object
}

/** A log; with `record`, also a bounded line per X-Request-Id. */
export function makeSimLog(options: { record: boolean }): SimLog {
  const totals = { received: 0, finished: 0, aborted: 0, promptTokens: 0, cachedTokens: 0, generatedTokens: 0 }
  const records = new Map<string, RequestRecord>()
  let dropped = 0

  function recordOf(requestId: string | undefined): RequestRecord | undefined {
    if (!options.record || requestId === undefined) return undefined
    const found = records.get(requestId)
    if (found) return found
    if (records.size >= recordsMax) {
      dropped++
      return undefined
    }
    const made: RequestRecord = { finished: 0, aborted: 0, promptTokens: 0, generatedTokens: 0 }
    records.set(requestId, made)
    return made
  }

  return {
    received() {
      totals.received++
    },
    began(requestId, promptTokens, cachedTokens) {
      totals.promptTokens += promptTokens
      totals.cachedTokens += cachedTokens
      const record = recordOf(requestId)
      if (record) record.promptTokens += promptTokens
    },
    generated(requestId, tokens) {
      totals.generatedTokens += tokens
      const record = recordOf(requestId)
      if (record) record.generatedTokens += tokens
    },
    ended(requestId, how) {
      totals[how]++
      const record = recordOf(requestId)
      if (record) record[how]++
    },
    toJSON: () => ({
      ...totals,
      ...(options.record ? { requests: Object.fromEntries(records), requestsDropped: dropped } : {}),
    }),
  }
}

/** The caller's X-Request-Id. */
export function requestIdOf(req: IncomingMessage): string | undefined {
  const id = req.headers['x-request-id']
  return typeof id === 'string' && id !== '' ? id : undefined
}
