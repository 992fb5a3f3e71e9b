import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { openFolderBlobs } from '@forebay/blobs'
import { type Config, loadConfig } from '@forebay/config'
import {
  batchRequestId,
  type ChunkJob,
  type ChunkNote,
  type ReplyFrame,
  type RequestJob,
  type RequestResult,
  type ResultEvent,
  resultEventSchema,
  type WorkJob,
  workJobSchema,
} from '@forebay/contracts'
import { type Clock, makeRegistry, type Running, silentLogger, systemClock } from '@forebay/kernel'
import { planEntryBytes, writePlanEntry } from '@forebay/plan'
import { JobReceiver, LanePuller, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import { makeMemoryProvider } from '@forebay/queue-memory'
import type { QueueProvider } from '@forebay/queue-port'
import { makeMemoryReplyBus, type ReplyBus } from '@forebay/reply-bus'
import { eventually, tempDir } from '@forebay/test-support'
import type { Residents } from '../residency/open-resident-engines.ts'
import type { WorkerTuning } from '../tuning.ts'
import { startWorker, type Worker } from '../worker.ts'

const fastTuning: Partial<WorkerTuning> = { flushMs: 20, announceMs: 100, lastFlushMs: 1_000 }

/** A stored result, with its output line as it can be read from its part. */
export interface StoredResult extends RequestResult {
  text: string | undefined
}

/**
 * Everything around a worker, in this process: blobs in a folder, queues and bus (in memory if not given), and a results
 * consumer.
 */
export async function makeBench(
  env: Record<string, string> = {},
  given: { queues?: QueueProvider; bus?: ReplyBus & Running; blobRoot?: string; clock?: Clock } = {},
) {
  const config: Config = loadConfig({ FOREBAY_QUEUE_LEASE_MS: '2000', FOREBAY_DRAIN_MS: '3000', ...env }).config
  const blobs = openFolderBlobs({ root: given.blobRoot ?? tempDir() })
  const clock = given.clock ?? systemClock
  const queues: QueueProvider = given.queues ?? makeMemoryProvider({ clock })
  const bus = given.bus ?? makeMemoryReplyBus()
  const results: StoredResult[] = []
  const notes: ChunkNote[] = []
  const idle: NonNullable<ResultEvent['idle']>[] = []
  const frames: ReplyFrame[] = []
  const seenEvents = new Set<string>()
  const running: Running[] = []
  const registry = makeRegistry()
  const store = async (event: ResultEvent) => {
    if (seenEvents.has(event.id)) return
    seenEvents.add(event.id)
    if (event.idle) idle.push(event.idle)
    const key = event.partKey
    const part = key === null ? undefined : await blobs.readRange(key, 0, (await blobs.size(key)) ?? 0)
    for (const result of event.results) {
      const { bytes } = result
      const text = bytes && part?.toString('utf8', bytes.offset, bytes.offset + bytes.length)
      results.push({ ...result, text: text ?? undefined })
    }
    // Last: a test that waits for a note finds the results that came with it.
    notes.push(...event.chunks)
  }
  const receiver = new JobReceiver<ResultEvent>({
    driver: queues.queue('default.results'),
    codec: makeJsonCodec(resultEventSchema),
    clock,
    logger: silentLogger,
    leaseMs: 10_000,
    maxAttempts: 5,
  })
  const lane = {
    name: 'results',
    receiver,
    want: () => 100,
    onJob: (leased: Parameters<typeof receiver.settle>[0]) =>
      void store(leased.job).then(() => receiver.settle(leased, { kind: 'done' })),
  }
  const puller = new LanePuller<ResultEvent>({ lanes: [lane], clock, logger: silentLogger })
  puller.start()
  await bus.receive('inbox', (frame) => frames.push(frame))
  const sender = (name: 'batch' | 'standard' | 'realtime') =>
    makeJobSender<WorkJob>({ driver: queues.queue(`default.${name}`), codec: makeJsonCodec(workJobSchema) })

  return {
    config,
    blobs,
    queues,
    bus,
    results,
    notes,
    idle,
    frames,
    /** The metrics of its first worker. */
    registry,
    /** Starts a worker; stopped by `stop` at the latest. */
    async worker(engineUrl: string, tuning: Partial<WorkerTuning> = {}, residents?: Residents): Promise<Worker> {
      const worker = await startWorker({
        config,
        clock,
        logger: silentLogger,
        registry,
        quantization: 'fp8',
        blobs,
        queues,
        bus,
        engine: { url: engineUrl },
        residents,
        tuning: { ...fastTuning, ...tuning },
      })
      running.unshift(worker)
      return worker
    },
    /** Stores an input file and releases it as one chunk, as the scheduler does. */
    async release(
      lines: readonly string[],
      fields: Partial<ChunkJob> = {},
      flagsOf: (index: number) => number = () => 0,
    ): Promise<ChunkJob> {
      const batchId = fields.batchId ?? 'batch_1'
      const entries = Buffer.alloc(lines.length * planEntryBytes)
      let offset = 0
      for (const [i, line] of lines.entries()) {
        const length = Buffer.byteLength(line)
        writePlanEntry(entries, i, { offset, length, line: i + 1, estTokens: 100, prefixGroup: 0, flags: flagsOf(i) })
        offset += length + 1
      }
      await blobs.put(`inputs/${batchId}`, Buffer.from(`${lines.join('\n')}\n`))
      const job: ChunkJob = {
        v: 1,
        kind: 'chunk',
        batchId,
        tenantId: 'acme',
        apiKeyId: 'key_1',
        chunk: 0,
        attempt: 1,
        endpoint: '/v1/chat/completions',
        model: 'forebay-sim',
        pool: 'default',
        lane: 'batch',
        inputKey: `inputs/${batchId}`,
        entries: entries.toString('base64'),
        deadlineMs: clock.now() + 60_000,
        ...fields,
      }
      await sender('batch').send([{ id: `${batchId}.${job.chunk}.${job.attempt}`, job }])
      return job
    },
    /** Enqueues a real-time request, as the gateway does. */
    async ask(body: object, fields: Partial<RequestJob> = {}): Promise<RequestJob> {
      const job: RequestJob = {
        v: 1,
        kind: 'request',
        requestId: 'req_1',
        tenantId: 'acme',
        apiKeyId: 'key_1',
        attempt: 1,
        endpoint: '/v1/chat/completions',
        model: 'forebay-sim',
        pool: 'default',
        lane: 'realtime',
        body: JSON.stringify({ model: 'forebay-sim', ...body }),
        stream: 'stream' in body && body.stream === true,
        replyTo: 'inbox',
        estTokens: 100,
        acceptedAtMs: clock.now(),
        deadlineMs: clock.now() + 30_000,
        ...fields,
      }
      await sender('realtime').send([{ id: job.requestId, job }])
      return job
    },
    /** Waits until a queue holds nothing, visible or leased. */
    settled: (queue: string) =>
      eventually(
        async () => {
          const { delayed, inFlight, visible } = await queues.queue(queue).depth()
          return visible + inFlight + delayed === 0
        },
        { what: `${queue} to be settled` },
      ),
    async stop() {
      for (const part of running) await part.stop()
      await puller.stop()
      await receiver.stop()
      await bus.stop()
      await queues.close()
    },
  }
}

export type Bench = Awaited<ReturnType<typeof makeBench>>

/** A line of an input file. */
export function line(customId: string, content: string, extra: object = {}): string {
  const body = { model: 'forebay-sim', messages: [{ role: 'user', content }], max_tokens: 8, ...extra }
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body })
}

export const idOfLine = (lineNumber: number, batchId = 'batch_1') => batchRequestId(batchId, lineNumber)

/** A request as an engine sees it. */
export interface SeenRequest {
  body: string
  requestId: string | undefined
  aborted: boolean
}

/** An engine over real HTTP that records what it gets and answers what `answer` writes. */
export async function startFakeEngine(answer: (seen: SeenRequest, res: ServerResponse, count: number) => void) {
  const seen: SeenRequest[] = []
  const server = createServer(async (req: IncomingMessage, res) => {
    if (req.url === '/v1/models') return res.end('{"object":"list","data":[{"id":"forebay-sim","object":"model"}]}')
    if (req.method === 'GET') return res.writeHead(404).end('{}')
    const parts: Buffer[] = []
    for await (const part of req) parts.push(part as Buffer)
    const id = req.headers['x-request-id']
    const entry: SeenRequest = { body: Buffer.concat(parts).toString(), requestId: String(id), aborted: false }
    res.on('close', () => {
      entry.aborted = !res.writableFinished
    })
    seen.push(entry)
    return answer(entry, res, seen.filter((other) => other.requestId === entry.requestId).length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A whole chat answer. */
export function completion(
  text = 'ok',
  usage: object = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
): string {
  const choices = [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }]
  return JSON.stringify({ id: 'x', object: 'chat.completion', choices, usage })
}
