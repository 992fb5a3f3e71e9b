import type { BlobStore } from '@forebay/blobs'
import { blobKeys, type ChunkNote, type RequestResult, type ResultEvent } from '@forebay/contracts'
import { backoffMs, type Clock, describeError, type Logger, newId } from '@forebay/kernel'
import type { JobSender } from '@forebay/queue-core'
import type { KeptContent } from '../live/kept-content.ts'

/** A result on its way out; `line` is its line of the output or error file, null for a real-time request. */
export interface FinishedRequest {
  /** Where its bytes lie is written into it when they are stored. */
  readonly result: RequestResult
  readonly line: Buffer | null
  /** Of a real-time request whose content is to be kept. */
  readonly content?: KeptContent | undefined
}

/** What one result event tells: results of one batch, or of real-time requests, and notes of chunks. */
export interface Told {
  readonly tenantId: string
  /** Null for real-time requests. */
  readonly batchId: string | null
  readonly finished: readonly FinishedRequest[]
  readonly notes: readonly ChunkNote[]
  readonly idle: ResultEvent['idle']
}

/**
 * Makes what stores an event: kept content first, then the part, then the event itself, so that whoever reads it finds
 * what it names. What cannot be stored is tried again until it can. Answers false when `stopping` came before.
 */
export function makeEventStore(options: {
  blobs: Pick<BlobStore, 'put'>
  sender: JobSender<ResultEvent>
  clock: Clock
  logger: Logger
  workerId: string
  pool: string
  stopping: AbortSignal
}): (told: Told) => Promise<boolean> {
  const { blobs, clock, logger, pool, sender, stopping, workerId } = options

  const untilDone = async (what: string, store: () => Promise<unknown>): Promise<boolean> => {
    for (let tries = 1; ; tries++) {
      try {
        await store()
        return true
      } catch (err) {
        const retryMs = backoffMs(tries, { firstMs: 100, maxMs: 5_000 })
        logger.warn({ what, retryMs, error: describeError(err) }, 'results could not be stored')
        try {
          await clock.sleep(retryMs, stopping)
        } catch {
          return false
        }
      }
    }
  }
  const put = (what: string, key: string, bytes: Buffer) => untilDone(what, () => blobs.put(key, bytes))

  /** Stores what is to be kept of a live request, and says in its result where. */
  const keepContent = async ({ content, result }: FinishedRequest, day: string): Promise<boolean> => {
    if (!content) return true
    const { requestId, tenantId } = result
    const { request } = content
    const answer = content.answer()
    const requestKey = blobKeys.liveRequest(tenantId, day, requestId)
    const answerKey = blobKeys.liveAnswer(tenantId, day, requestId)
    if (!(await put('live content', requestKey, request))) return false
    result.requestBytes = { key: requestKey, offset: 0, length: request.length }
    if (answer.length === 0) return true
    if (!(await put('live content', answerKey, answer))) return false
    result.responseBytes = { key: answerKey, offset: 0, length: answer.length }
    return true
  }

  return async (told) => {
    const nowMs = clock.now()
    const { finished, idle, notes } = told
    const day = new Date(nowMs).toISOString().slice(0, 10)
    for (const each of finished) if (!(await keepContent(each, day))) return false
    const part = partOf(told, nowMs)
    if (part && !(await put('part', part.key, part.bytes))) return false
    const event: ResultEvent = {
      v: 1,
      kind: 'results',
      id: newId('event_', nowMs),
      workerId,
      pool,
      sentAtMs: nowMs,
      partKey: part?.key ?? null,
      results: finished.map(({ result }) => result),
      chunks: [...notes],
      idle,
    }
    return untilDone('result event', async () => {
      const [answer] = await sender.send([{ id: event.id, job: event }])
      if (answer && !answer.ok) throw answer.error
    })
  }
}

/** The lines of a batch one after the other, and in each result where its own lies; undefined when there is none. */
function partOf({ batchId, finished, tenantId }: Told, nowMs: number): { key: string; bytes: Buffer } | undefined {
  const lines: Buffer[] = []
  let offset = 0
  for (const { line, result } of finished) {
    if (!line) continue
    // Without its line feed.
    result.bytes = { offset, length: line.length - 1 }
    lines.push(line)
    offset += line.length
  }
  if (batchId === null || lines.length === 0) return undefined
  return { key: blobKeys.part(tenantId, batchId, newId('part_', nowMs)), bytes: Buffer.concat(lines, offset) }
}
