import { type Batcher, makeBatcher } from '@forebay/batcher'
import type { RequestJob } from '@forebay/contracts'
import { makeEngineMeter } from '@forebay/engine-time'
import { ManualClock, makeRegistry, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { RequestDispatcher } from '../dispatcher.ts'
import type { StreamSink } from '../engine/engine-client.ts'
import { errorAnswer } from '../engine/outcome.ts'
import { makeTimeLimits } from '../engine/time-limits.ts'
import { makeWorkerMetrics } from '../metrics.ts'
import { makeThroughput } from '../throughput.ts'
import { LiveRequest } from './live-request.ts'

/** A live request over an engine whose stream brings `pieces`, `gapMs` apart; answers what the batcher was told. */
async function run(options: { stream: boolean; pieces: readonly string[]; gapMs: number }) {
  const clock = new ManualClock()
  const startMs = clock.now()
  const told: string[] = []
  const real = makeBatcher({ seats: { start: 8, max: 8 }, realtimeSeats: 0 })
  const batcher: Batcher = {
    ...real,
    progressed(id, nowMs) {
      told.push(`progressed ${id} at ${nowMs - startMs}`)
      real.progressed(id, nowMs)
    },
    finished(id, usage, nowMs) {
      told.push(`finished ${id} at ${nowMs - startMs}`)
      real.finished(id, usage, nowMs)
    },
  }
  const metrics = makeWorkerMetrics(makeRegistry())
  const meter = makeEngineMeter({ gpus: 1, startMs })
  const base = { batcher, clock, logger: silentLogger, metrics, meter }
  const dispatcher = new RequestDispatcher({
    ...base,
    attempts: 1,
    isEngineUp: () => true,
    onTrouble: () => {},
    onFree: () => {},
  })
  const client = {
    call: async () => errorAnswer(404, null, 'no such model'),
    async stream(_: unknown, sink: StreamSink) {
      sink.onHead(200, 'text/event-stream')
      for (const piece of options.pieces) {
        await clock.sleep(options.gapMs)
        sink.onBytes(Buffer.from(piece))
      }
      return { kind: 'streamed' as const }
    },
  }
  const job: RequestJob = {
    v: 1,
    kind: 'request',
    requestId: 'req_1',
    tenantId: 'acme',
    apiKeyId: 'key_1',
    attempt: 1,
    endpoint: '/v1/chat/completions',
    model: 'm',
    pool: 'default',
    lane: 'realtime',
    body: '{"model":"m"}',
    stream: options.stream,
    replyTo: 'inbox',
    estTokens: 100,
    acceptedAtMs: startMs,
    deadlineMs: startMs + 60_000,
  }
  const tools = {
    ...base,
    client,
    dispatcher,
    limits: makeTimeLimits({ floorMs: 1_000 }),
    throughput: makeThroughput(startMs),
    labels: (model: string) => ({ model, provider: 'vllm', quantization: '' }),
    modelVersion: () => null,
  }
  let ended = false
  const reply = { send: () => {}, keepAlive: () => {} }
  const onEnd = () => {
    ended = true
  }
  dispatcher.submit(new LiveRequest({ id: 'live', job, tools, reply, onEnd }))
  for (let i = 0; i < 100 && !ended; i++) await clock.advance(10)
  expect(ended).toBe(true)
  await clock.advance(1)
  dispatcher.stop()
  return told
}

const event = (text: string) => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`

it('tells the batcher of each piece of a stream when it comes, the first included, and then of the end', async () => {
  const pieces = [event('one'), event('two').slice(0, 9), `${event('two').slice(9)}data: [DONE]\n\n`]
  expect(await run({ stream: true, pieces, gapMs: 40 })).toEqual([
    'progressed live at 40',
    'progressed live at 80',
    'progressed live at 120',
    'finished live at 120',
  ])
})

it('tells it of no progress for what shows none: an answer that comes whole, a stream that fails at once', async () => {
  expect(await run({ stream: false, pieces: [], gapMs: 0 })).toEqual(['finished live at 0'])
  const failed = 'data: {"error":{"message":"boom"}}\n\n'
  expect(await run({ stream: true, pieces: [failed], gapMs: 20 })).toEqual(['finished live at 20'])
})
