import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { silentLogger, systemClock } from '@forebay/kernel'
import { type AnswerIndex, makeScanIndex, normalised, openPgvectorIndex } from '@forebay/semantic-cache'
import { openDatabase } from '@forebay/store'
import { percentile, round } from './load.ts'
import { makeRandom } from './workload.ts'

/** Time to find the nearest of so many answers of one hard key, its worst case. */
export interface LookupFigures {
  entries: number
  p50Ms: number
  p99Ms: number
  /** CPU time of the longest turn of the event loop while lookups ran, which other work had to wait for, and the 99th percentile. */
  longestBlockMs: number
  blockP99Ms: number
}

/** Lookups in each index; `pgvector` is null where no server with the extension was named. */
export interface SemanticFigures {
  dimensions: number
  scan: LookupFigures[]
  pgvector: LookupFigures[] | null
}

const hardKey = 'bench'
const ttlMs = 3_600_000

/** `npm run bench -- semantic [--entries 10000,100000] [--dimensions 384] [--lookups 200]`; DATABASE_URL names a server with pgvector. */
export async function run(args: readonly string[]): Promise<SemanticFigures> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      entries: { type: 'string', default: '10000,100000' },
      dimensions: { type: 'string', default: '384' },
      lookups: { type: 'string', default: '200' },
    },
  })
  const sizes = values.entries.split(',').map(Number)
  const [dimensions, lookups] = [Number(values.dimensions), Number(values.lookups)]
  const options = { dimensions, lookups }
  const scan: LookupFigures[] = []
  for (const entries of sizes) {
    const index = makeScanIndex({ clock: systemClock, ttlMs, bytesMax: Number.MAX_SAFE_INTEGER })
    scan.push(await measure(index, { ...options, entries }))
  }
  return { dimensions, scan, pgvector: await inPostgres(sizes, options) }
}

async function inPostgres(
  sizes: readonly number[],
  options: { dimensions: number; lookups: number },
): Promise<LookupFigures[] | null> {
  const url = process.env['DATABASE_URL']
  if (url === undefined) return null
  const db = openDatabase({ url, logger: silentLogger })
  try {
    const index = await openPgvectorIndex({ db, logger: silentLogger, dimensions: options.dimensions, ttlMs })
    if (!index) return null
    const figures: LookupFigures[] = []
    for (const entries of sizes) {
      await index.eraseTenant('bench')
      figures.push(await measure(index, { ...options, entries }))
    }
    await index.eraseTenant('bench')
    return figures
  } finally {
    await db.stop()
  }
}

async function measure(
  index: AnswerIndex,
  options: { entries: number; dimensions: number; lookups: number },
): Promise<LookupFigures> {
  const random = makeRandom(options.entries)
  const vectorOf = () => normalised(Float32Array.from({ length: options.dimensions }, () => random(2e6) - 1e6))
  const usage = { promptTokens: 1, cachedTokens: null, completionTokens: 1, reasoningTokens: 0 }
  for (let i = 0; i < options.entries; i++) {
    const answer = { requestId: `bench-${i}`, text: '{}', usage, modelVersion: '', storedAtMs: systemClock.now() }
    await index.add({ tenantId: 'bench', hardKey, question: `question ${i}`, vector: vectorOf(), answer })
  }
  const took: number[] = []
  const turns = watchTurns()
  for (let i = 0; i < options.lookups; i++) {
    const vector = vectorOf()
    const startMs = performance.now()
    const found = await index.nearest({ hardKey, vector, count: 4 })
    took.push(performance.now() - startMs)
    if (found.length === 0) throw new Error('a lookup found nothing')
  }
  const blocks = turns.stop()
  return {
    entries: options.entries,
    ...{ p50Ms: round(percentile(took, 0.5)), p99Ms: round(percentile(took, 0.99)) },
    ...{ longestBlockMs: round(percentile(blocks, 1)), blockP99Ms: round(percentile(blocks, 0.99)) },
  }
}

/** What each turn of the event loop took until it is stopped, in CPU time: what other processes take does not count. */
function watchTurns(): { stop(): number[] } {
  const blocks: number[] = []
  const cpuMs = () => {
    const { system, user } = process.cpuUsage()
    return (user + system) / 1_000
  }
  let lastMs = cpuMs()
  let next = setImmediate(look)
  function look() {
    const nowMs = cpuMs()
    blocks.push(nowMs - lastMs)
    lastMs = nowMs
    next = setImmediate(look)
  }
  return {
    stop() {
      clearImmediate(next)
      return blocks
    },
  }
}
