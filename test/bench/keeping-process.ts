import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { batchRequestId, type ResultEvent } from '@forebay/contracts'
import { newId, silentLogger, systemClock } from '@forebay/kernel'
import { arrivalsOf, insertRequests } from '@forebay/results'
import { type Database, openDatabase } from '@forebay/store'
import { Agent } from 'undici'
import { addBareBatch } from './bare-batch.ts'
import { bodiesOf, type Workload } from './workload.ts'

/** What to send, and where to keep it. */
export interface KeepingTask {
  url: string
  databaseUrl: string
  /** Takes the output lines. */
  file: string
  workload: Workload
  concurrency: number
}

const rowsPerStatement = 128
/** Open until this process is ended: what a server's process used is no longer told once it is gone. */
let database: Database | undefined
const headers = { 'content-type': 'application/json' }

process.on('message', (task: KeepingTask) => {
  void run(task).then((result) => process.send?.(result))
})

/**
 * The loop of one who keeps what comes: an output line in a file and an audit row in Postgres for each answer, written
 * with the results service's own statement, many at once. No queue, no plan, no lease, no ledger; when it dies, what was
 * under way is lost.
 */
async function run(task: KeepingTask): Promise<{ tookMs: number }> {
  const { concurrency, url, workload } = task
  const bodies = [...bodiesOf(workload)]
  database ??= openDatabase({ url: task.databaseUrl, logger: silentLogger, connectionsMax: 2 })
  const db = database
  const agent = new Agent({ pipelining: 1, connections: concurrency })
  const lines = createWriteStream(task.file)
  const startMs = performance.now()
  const batchId = await addBareBatch(db, bodies.length)
  let results: ResultEvent['results'] = []
  let storing = Promise.resolve()
  const store = () => {
    const event = eventOf(results)
    results = []
    storing = storing.then(async () => {
      const inserted = await db.tx((tx) => insertRequests(tx, arrivalsOf([event])))
      if (inserted.size !== event.results.length) throw new Error('not every row was new')
    })
    return storing
  }
  let next = 0
  const loop = async () => {
    for (let line = ++next; line <= bodies.length; line = ++next) {
      const sentMs = performance.now()
      const body = bodies[line - 1] ?? ''
      const answer = await agent.request({ origin: url, path: '/v1/chat/completions', method: 'POST', headers, body })
      const text = await answer.body.text()
      if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`)
      const { model, usage } = JSON.parse(text) as Answer
      lines.write(`{"custom_id":"request-${line}","response":{"status_code":200,"body":${text}},"error":null}\n`)
      const durationMs = Math.round(performance.now() - sentMs)
      results.push(resultOf({ batchId, line, model, usage, durationMs }))
      if (results.length === rowsPerStatement) await store()
    }
  }
  await Promise.all(Array.from({ length: concurrency }, loop))
  if (results.length > 0) await store()
  await storing
  await finished(lines.end())
  const tookMs = performance.now() - startMs
  await agent.destroy()
  return { tookMs }
}

interface Answer {
  model: string
  usage: { prompt_tokens: number; completion_tokens: number }
}

function resultOf(done: {
  batchId: string
  line: number
  model: string
  usage: Answer['usage']
  durationMs: number
}): ResultEvent['results'][number] {
  const { batchId, durationMs, line, model, usage } = done
  return {
    requestId: batchRequestId(batchId, line),
    ...{ tenantId: 'bench', apiKeyId: 'key_1', batchId, line, chunk: 0, customId: `request-${line}` },
    ...{ endpoint: '/v1/chat/completions', model, modelVersion: null, pool: 'default', lane: 'batch' },
    ...{ attempt: 1, outcome: 'succeeded', statusCode: 200, errorCode: null, source: 'engine' },
    usage: {
      promptTokens: usage.prompt_tokens,
      cachedTokens: null,
      completionTokens: usage.completion_tokens,
      reasoningTokens: 0,
    },
    ...{ queuedMs: 0, batcherMs: 0, firstTokenMs: null, durationMs, finishedAtMs: systemClock.now(), gpuMs: null },
    ...{ bodyHash: null, requestBytes: null, bytes: null },
  }
}

function eventOf(results: ResultEvent['results']): ResultEvent {
  const nowMs = systemClock.now()
  const id = newId('event_', nowMs)
  return {
    ...{ v: 1, kind: 'results', id, workerId: 'keeping', pool: 'default', sentAtMs: nowMs, partKey: null },
    ...{ results, chunks: [], idle: null },
  }
}
