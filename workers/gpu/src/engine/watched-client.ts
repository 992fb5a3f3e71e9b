import type { EngineSample } from '@forebay/batcher'
import type { Clock, Logger } from '@forebay/kernel'
import { FollowingAbort } from './call-abort.ts'
import type { EngineCall, EngineClient, StreamSink } from './engine-client.ts'
import { makeLostCalls } from './lost-calls.ts'
import type { Failure } from './outcome.ts'
import { makeOverdueCalls } from './overdue-calls.ts'

/** A client that cuts calls which the engine has lost: `observe` is given each look at the engine's counts. */
export type WatchedClient = Pick<EngineClient, 'call' | 'stream'> & { observe(sample: EngineSample): void }

const lostFailure: Failure = {
  kind: 'failure',
  reason: 'timeout',
  status: 504,
  message: 'The engine never answered the request and does not work on it.',
}

// A request is cut so once. If it was taken for another, it has all its time at the next attempt.
const rememberedMax = 10_000

/** Watches what goes through `client`. A call that is cut ends as a failure, after which there may be another attempt. */
export function makeWatchedClient(options: {
  client: Pick<EngineClient, 'call' | 'stream'>
  clock: Clock
  logger: Logger
  lostMs: number
}): WatchedClient {
  const { client, clock, logger } = options
  const lost = makeLostCalls(options)
  const overdue = makeOverdueCalls(options)
  const running = new Map<number, { call: EngineCall; cut: FollowingAbort }>()
  const cutBefore = new Set<string>()
  let serial = 0

  async function watched<T>(
    call: EngineCall,
    run: (call: EngineCall, answered: () => void) => Promise<T>,
  ): Promise<T | Failure> {
    const id = ++serial
    const cut = new FollowingAbort(call.signal)
    running.set(id, { call, cut })
    const nowMs = clock.now()
    lost.sent(id, { nowMs, limitMs: call.limitMs })
    overdue.sent(id, { nowMs, outputTokens: call.outputTokens })
    try {
      return await run({ ...call, signal: cut }, () => {
        lost.answered(id)
        overdue.answered(id)
      })
    } catch (err) {
      if (err === lostFailure) return lostFailure
      throw err
    } finally {
      cut.leave()
      running.delete(id)
      lost.ended(id)
      overdue.ended(id)
    }
  }

  return {
    call: (call) => watched(call, (own) => client.call(own)),
    stream: (call, sink) =>
      watched(call, (own, answered) => {
        const onHead: StreamSink['onHead'] = (status, contentType) => {
          answered()
          sink.onHead(status, contentType)
        }
        return client.stream(own, { onHead, onBytes: (bytes) => sink.onBytes(bytes) })
      }),
    observe(sample) {
      for (const id of [...lost.observe(sample), ...overdue.observe(sample)]) {
        const found = running.get(id)
        if (!found || cutBefore.has(found.call.requestId)) continue
        const { requestId } = found.call
        if (cutBefore.size >= rememberedMax) cutBefore.clear()
        cutBefore.add(requestId)
        logger.warn({ requestId }, 'call cut: the engine does not work on it')
        found.cut.abort(lostFailure)
      }
    },
  }
}
