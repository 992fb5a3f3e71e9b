import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { batchRequestId, type ResultEvent, resultEventSchema } from '@forebay/contracts'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { ForebayError, newId, silentLogger, systemClock } from '@forebay/kernel'
import { arrivalsOf, commitEvents, insertRequests, seedPrices } from '@forebay/results'
import { type Database, migrate, openDatabase } from '@forebay/store'
import { addBareBatch } from './bare-batch.ts'
import { type CacheHitFigures, measureCacheHits } from './cache.ts'

/** What committing costs against only inserting the audit rows. */
export interface ResultsBench {
  /** Requests a second committed over requests a second inserted: 1 would be for nothing. */
  toUnnest: number
  /** Requests committed a second: audit row, ledger entry, counters and progress, one transaction for many. */
  rowsPerSecond: number
  /** The same audit rows inserted into the same table by `unnest`, and nothing else. */
  unnestRowsPerSecond: number
}

const resultsPerEvent = 64
const eventsPerTransaction = 32

/**
 * Commits result events as the results service does, and inserts as many audit rows bare, by turns, one connection, on
 * an embedded Postgres as it comes. Then, with that stopped, measures cache hits as `cache` does.
 */
export async function run(args: readonly string[]): Promise<ResultsBench & CacheHitFigures> {
  const committed = await measureCommits(args)
  return { ...committed, ...(await measureCacheHits({ requests: 2_000 })) }
}

async function measureCommits(args: readonly string[]): Promise<ResultsBench> {
  const { values } = parseArgs({ args: [...args], options: { requests: { type: 'string' } } })
  const requests = Number(values.requests ?? 60_000)
  if (!Number.isInteger(requests) || requests < resultsPerEvent) {
    throw new ForebayError(
      'invalid_value',
      `--requests ${values.requests}: give a whole number from ${resultsPerEvent}.`,
    )
  }
  const root = await mkdtemp(join(tmpdir(), 'forebay-results-'))
  const postgres = await startEmbeddedPostgres({ dataDir: join(root, 'pg'), logger: silentLogger, clock: systemClock })
  const db = openDatabase({ url: postgres.url, logger: silentLogger, connectionsMax: 1 })
  try {
    await migrate({ url: postgres.url })
    await seedPrices(db)
    return await measure(db, Math.ceil(requests / (resultsPerEvent * eventsPerTransaction)))
  } finally {
    await db.stop()
    await postgres.stop()
    await rm(root, { recursive: true, force: true })
  }
}

async function measure(db: Database, transactions: number): Promise<ResultsBench> {
  const perTransaction = resultsPerEvent * eventsPerTransaction
  const total = (transactions + 1) * perTransaction
  const charged = await addBareBatch(db, total)
  const bare = await addBareBatch(db, total)
  let [commitMs, insertMs] = [0, 0]
  // The first turn of both is not counted: caches are cold.
  for (let turn = 0; turn <= transactions; turn++) {
    const committed = eventsOf(charged, turn * perTransaction)
    const uncharged = arrivalsOf(eventsOf(bare, turn * perTransaction))
    const startedMs = performance.now()
    const summary = await commitEvents({ db, events: committed })
    const middleMs = performance.now()
    const inserted = await db.tx((tx) => insertRequests(tx, uncharged))
    const endedMs = performance.now()
    if (summary.committed.length !== perTransaction || inserted.size !== perTransaction) {
      throw new Error('not every row was new')
    }
    if (turn === 0) continue
    commitMs += middleMs - startedMs
    insertMs += endedMs - middleMs
  }
  const rows = transactions * perTransaction
  return {
    toUnnest: Number((insertMs / commitMs).toFixed(3)),
    rowsPerSecond: Math.round((rows / commitMs) * 1000),
    unnestRowsPerSecond: Math.round((rows / insertMs) * 1000),
  }
}

function eventsOf(batchId: string, done: number): ResultEvent[] {
  const nowMs = systemClock.now()
  return Array.from({ length: eventsPerTransaction }, (_, event) =>
    resultEventSchema.parse({
      v: 1,
      kind: 'results',
      id: newId('event_', nowMs),
      workerId: 'worker_bench',
      pool: 'default',
      sentAtMs: nowMs,
      partKey: `tenants/bench/batches/${batchId}/parts/${event}`,
      chunks: [],
      results: Array.from({ length: resultsPerEvent }, (__, i) => {
        const line = done + event * resultsPerEvent + i + 1
        return {
          requestId: batchRequestId(batchId, line),
          ...{ tenantId: 'bench', apiKeyId: 'key_1', batchId, line, chunk: Math.floor((line - 1) / 64) },
          ...{ customId: `request-${line}`, endpoint: '/v1/chat/completions', model: 'm', modelVersion: 'm@4096' },
          ...{ pool: 'default', lane: 'batch', attempt: 1, outcome: 'succeeded', statusCode: 200, errorCode: null },
          usage: {
            promptTokens: 200 + (line % 97),
            cachedTokens: 64,
            completionTokens: line % 211,
            reasoningTokens: 0,
          },
          ...{ queuedMs: 5, batcherMs: 2, firstTokenMs: null, durationMs: 900, finishedAtMs: nowMs, gpuMs: 12.5 },
          // As a worker measures it of every answer; of each third its client asked for log probabilities.
          quality: { repetition: (line % 53) / 500, perplexity: line % 3 === 0 ? 1 + (line % 41) / 8 : null },
          bodyHash: line.toString(16).padStart(64, '0'),
          requestBytes: { key: 'tenants/bench/files/file-1', offset: line * 400, length: 400 },
          bytes: { offset: i * 300, length: 300 },
        }
      }),
    }),
  )
}
