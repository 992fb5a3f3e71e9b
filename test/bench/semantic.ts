import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { silentLogger, systemClock } from '@forebay/kernel'
import { type AnswerIndex, makeScanIndex, openPgvectorIndex } from '@forebay/semantic-cache'
import { openDatabase } from '@forebay/store'
import { Client } from 'pg'
import { percentile, round } from './load.ts'
import { makeVectors } from './semantic-vectors.ts'
import { makeRandom } from './workload.ts'

/** Time to find the nearest of so many answers, which share their hard keys evenly. */
export interface LookupFigures {
  entries: number
  hardKeys: number
  p50Ms: number
  p99Ms: number
  /** Share of lookups whose first answer was the nearest there is, one of cosine 0.97. */
  found: number
  /** CPU time of the longest turn of the event loop while lookups ran, which other work had to wait for, and the 99th percentile. */
  longestBlockMs: number
  blockP99Ms: number
}

/** Lookups in each index; `pgvector` is null where no server with the extension was named. */
export interface SemanticFigures {
  dimensions: number
  scan: LookupFigures[]
  pgvector: (LookupFigures & { indexSeconds: number })[] | null
}

interface Stored {
  id: string
  hardKey: string
  vector: Float32Array
}

interface Wanted {
  entries: number
  hardKeys: number
  dimensions: number
  lookups: number
}

const ttlMs = 24 * 3_600_000
const perInsert = 1_000
const usage = { promptTokens: 1, cachedTokens: null, completionTokens: 1, reasoningTokens: 0 }

/** `npm run bench -- semantic [--entries 10000,100000] [--hard-keys 1,100] [--dimensions 384] [--lookups 200]`; DATABASE_URL names a server with pgvector, whose table of answers is made anew. */
export async function run(args: readonly string[]): Promise<SemanticFigures> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      entries: { type: 'string', default: '10000,100000' },
      'hard-keys': { type: 'string', default: '1,100' },
      dimensions: { type: 'string', default: '384' },
      lookups: { type: 'string', default: '200' },
    },
  })
  const [dimensions, lookups] = [Number(values.dimensions), Number(values.lookups)]
  const wanted = values.entries
    .split(',')
    .flatMap((entries) =>
      values['hard-keys']
        .split(',')
        .map((keys) => ({ entries: Number(entries), hardKeys: Number(keys), dimensions, lookups })),
    )
  const scan: LookupFigures[] = []
  // A scan looks at one hard key alone: how many there are does not matter.
  for (const each of wanted.filter(({ hardKeys }) => hardKeys === wanted[0]?.hardKeys)) {
    const index = makeScanIndex({ clock: systemClock, ttlMs, bytesMax: Number.MAX_SAFE_INTEGER })
    const stored = vectorsOf(each)
    for (const one of stored) await index.add(entryOf(one))
    scan.push(await measure(index, each, stored))
  }
  return { dimensions, scan, pgvector: await inPostgres(wanted) }
}

async function inPostgres(wanted: readonly Wanted[]): Promise<SemanticFigures['pgvector']> {
  const url = process.env['DATABASE_URL']
  if (url === undefined) return null
  // Building an index takes longer than any statement of Forebay's may.
  const client = new Client({ connectionString: url })
  await client.connect()
  const db = openDatabase({ url, logger: silentLogger })
  try {
    const figures: (LookupFigures & { indexSeconds: number })[] = []
    for (const each of wanted) {
      await client.query('DROP TABLE IF EXISTS semantic_answers')
      const open = () => openPgvectorIndex({ db, logger: silentLogger, dimensions: each.dimensions, ttlMs })
      if (!(await open())) return null
      const stored = vectorsOf(each)
      const indexSeconds = await fill(client, each, stored)
      const index = await open()
      if (index) figures.push({ ...(await measure(index, each, stored)), indexSeconds })
    }
    await client.query('DROP TABLE semantic_answers')
    return figures
  } finally {
    await client.end()
    await db.stop()
  }
}

/** Fills the table and builds its HNSW index then, which takes a tenth of adding to it row by row. Answers how long the index took. */
async function fill(client: Client, { dimensions }: Wanted, stored: readonly Stored[]): Promise<number> {
  const name = `semantic_answers_near_${dimensions}`
  const { rows } = await client.query<{ sql: string }>('SELECT indexdef AS sql FROM pg_indexes WHERE indexname = $1', [
    name,
  ])
  await client.query(`DROP INDEX IF EXISTS ${name}`)
  for (let from = 0; from < stored.length; from += perInsert) {
    const slice = stored.slice(from, from + perInsert)
    await client.query(
      `INSERT INTO semantic_answers (id, tenant_id, hard_key, question, answer, embedding, dimensions, stored_at)
       SELECT id, 'bench', hard_key, 'question of ' || id, jsonb_set($5::jsonb, '{requestId}', to_jsonb(id)), embedding::vector, $4, now()
       FROM unnest($1::text[], $2::text[], $3::text[]) AS rows (id, hard_key, embedding)`,
      [
        slice.map(({ id }) => id),
        slice.map(({ hardKey }) => hardKey),
        slice.map(({ vector }) => `[${vector.join(',')}]`),
        dimensions,
        JSON.stringify(entryOf({ id: '', hardKey: '', vector: new Float32Array() }).answer),
      ],
    )
  }
  const startMs = performance.now()
  await client.query("SET maintenance_work_mem = '1GB'")
  for (const { sql } of rows) await client.query(sql)
  const took = performance.now() - startMs
  await client.query('VACUUM ANALYZE semantic_answers')
  return round(took / 1_000)
}

function vectorsOf({ dimensions, entries, hardKeys }: Wanted): Stored[] {
  const vectors = makeVectors(makeRandom(entries), dimensions)
  return Array.from({ length: entries }, (_, i) => ({
    id: `bench-${i}`,
    hardKey: `key ${i % hardKeys}`,
    vector: vectors.any(),
  }))
}

function entryOf({ hardKey, id, vector }: Stored) {
  const answer = { requestId: id, text: '{}', usage, modelVersion: '', storedAtMs: systemClock.now() }
  return { tenantId: 'bench', hardKey, question: `question of ${id}`, vector, answer }
}

async function measure(index: AnswerIndex, wanted: Wanted, stored: readonly Stored[]): Promise<LookupFigures> {
  const { dimensions, entries, hardKeys, lookups } = wanted
  const random = makeRandom(entries + 1)
  const { near } = makeVectors(random, dimensions)
  const took: number[] = []
  let right = 0
  const turns = watchTurns()
  for (let i = 0; i < lookups; i++) {
    const one = stored[random(stored.length)]
    if (!one) throw new Error('nothing is stored')
    const vector = near(one.vector)
    const startMs = performance.now()
    const [first] = await index.nearest({ hardKey: one.hardKey, vector, count: 4 })
    took.push(performance.now() - startMs)
    if (first?.answer.requestId === one.id) right++
  }
  const blocks = turns.stop()
  return {
    ...{ entries, hardKeys },
    ...{ p50Ms: round(percentile(took, 0.5)), p99Ms: round(percentile(took, 0.99)), found: round(right / lookups) },
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
