import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { ManualClock, silentLogger } from '@forebay/kernel'
import { type Database, openDatabase, type Queryable } from '@forebay/store'
import { testDatabase } from '@forebay/test-support'
import { afterAll, describe, expect, it } from 'vitest'
import type { AnswerIndex, IndexedAnswer } from './answer-index.ts'
import { openPgvectorIndex } from './pgvector-index.ts'
import { makeScanIndex } from './scan-index.ts'
import { ngramEmbedding } from './testing/ngram-embeddings.ts'

const ttlMs = 60_000
let serial = 0
function entryOf(
  question: string,
  over: { tenantId?: string; hardKey?: string; storedAtMs?: number } = {},
): IndexedAnswer {
  const usage = { promptTokens: 1, cachedTokens: null, completionTokens: 1, reasoningTokens: 0 }
  const { tenantId = 'acme', hardKey = 'k', storedAtMs = Date.now() } = over
  const answer = {
    requestId: `req_${serial++}`,
    text: `{"a":${JSON.stringify(question)}}`,
    usage,
    modelVersion: '',
    storedAtMs,
  }
  return { tenantId, hardKey, question, vector: ngramEmbedding(question), answer }
}

// Postgres itself with pgvector, compiled to WebAssembly: the servers of the other tests do not have the extension.
const pglite = new PGlite({ extensions: { vector } })
afterAll(() => pglite.close())
const on = (client: Pick<PGlite, 'query'>): Queryable => ({
  query: async <R extends object>(sql: string, values?: readonly unknown[]) =>
    (await client.query<R>(sql, values ? [...values] : [])).rows,
})
const db: Pick<Database, 'query' | 'tx'> = { ...on(pglite), tx: (work) => pglite.transaction((tx) => work(on(tx))) }
const openPgvector = async (options: { comparedMax?: number } = {}) => {
  await pglite.query('DROP TABLE IF EXISTS semantic_answers')
  const index = await openPgvectorIndex({ db, logger: silentLogger, dimensions: 256, ttlMs, ...options })
  if (!index) throw new Error('pgvector is not there')
  return index
}
const openScan = async () => makeScanIndex({ clock: new ManualClock(Date.now()), ttlMs, bytesMax: 10_000_000 })

describe.each<[string, () => Promise<AnswerIndex>]>([
  ['scan', openScan],
  ['pgvector', () => openPgvector()],
  ['pgvector, as of many answers,', () => openPgvector({ comparedMax: 0 })],
])('the %s index', (_name, open) => {
  it('finds the nearest questions of the same hard key, nearest first', async () => {
    const index = await open()
    for (const question of ['the quick brown fox', 'the quick brown dog', 'something else'])
      await index.add(entryOf(question))
    await index.add(entryOf('the quick brown fox', { hardKey: 'other' }))
    const query = { hardKey: 'k', vector: ngramEmbedding('the quick brown foxes'), count: 2 }
    const found = await index.nearest(query)
    expect(found.map(({ question }) => question)).toEqual(['the quick brown fox', 'the quick brown dog'])
    expect(found[0]?.similarity).toBeGreaterThan(0.8)
    expect(found[0]?.answer.text).toBe('{"a":"the quick brown fox"}')
    expect(await index.nearest({ ...query, hardKey: 'nobody’s' })).toEqual([])
  })

  it('finds and keeps an answer for no longer than its tenant wishes', async () => {
    const index = await open()
    const [brief, long] = [entryOf('What is brief?'), entryOf('What is long?')]
    await index.add({ ...brief, ttlMs: -1 })
    await index.add({ ...long, ttlMs: 2 * ttlMs })
    const near = async () =>
      (await index.nearest({ hardKey: 'k', vector: brief.vector, count: 4 })).map((n) => n.question)
    expect(await near()).toEqual([long.question])
    await index.expire()
    expect(await near()).toEqual([long.question])
  })

  it('forgets what is too old, and a tenant that was erased', async () => {
    const index = await open()
    await index.add(entryOf('old', { storedAtMs: Date.now() - ttlMs - 60_000 }))
    await index.add(entryOf('hers', { tenantId: 'her' }))
    await index.add(entryOf('his', { tenantId: 'him' }))
    const all = async () => {
      const found = await index.nearest({ hardKey: 'k', vector: ngramEmbedding('x'), count: 9 })
      return found.map(({ question }) => question).sort()
    }
    expect(await all()).toEqual(['hers', 'his'])
    await index.expire()
    await index.eraseTenant('her')
    expect(await all()).toEqual(['his'])
  })
})

it('the scan index holds no more bytes than it may: the oldest go', async () => {
  const index = makeScanIndex({ clock: new ManualClock(Date.now()), ttlMs, bytesMax: 20_000 })
  for (let i = 0; i < 100; i++) await index.add(entryOf(`question ${i}`))
  expect(index.entries).toBeLessThan(15)
  const found = await index.nearest({ hardKey: 'k', vector: ngramEmbedding('question 99'), count: 100 })
  expect(found).toHaveLength(index.entries)
  expect(found[0]?.question).toBe('question 99')
})

describe('while the scan index compares many vectors', () => {
  const dimensions = 16_384
  // Eight of them are a slice.
  const many = 80
  const vectorOf = (at: number) => {
    const vector = new Float32Array(dimensions)
    vector[at] = 1
    return vector
  }
  const asked = new Float32Array(dimensions)
  for (let i = 0; i < many; i++) asked[i] = (i + 1) / many
  const fill = async () => {
    const index = makeScanIndex({ clock: new ManualClock(Date.now()), ttlMs, bytesMax: 1_000_000_000 })
    // The first are the farthest and the last the nearest; each third is hers.
    for (let i = 0; i < many; i++) {
      const tenantId = i % 3 === 0 ? 'her' : 'him'
      await index.add({ ...entryOf(`question ${i}`, { tenantId }), vector: vectorOf(i) })
    }
    return index
  }
  const questions = (found: readonly { question: string }[]) => found.map(({ question }) => question)
  const nearest = (index: AnswerIndex, count: number) => index.nearest({ hardKey: 'k', vector: asked, count })

  it('others have their turn', async () => {
    const index = await fill()
    let turns = 0
    let over = false
    const count = () => {
      turns++
      if (!over) setImmediate(count)
    }
    setImmediate(count)
    const both = await Promise.all([nearest(index, 2), nearest(index, 2)])
    over = true
    for (const found of both) expect(questions(found)).toEqual(['question 79', 'question 78'])
    // Nine slices of each lookup had to wait, and never two in the same turn.
    expect(turns).toBeGreaterThanOrEqual(18)
  })

  it('what is erased is not found, what stays is found once and in order, and nothing is passed over', async () => {
    const index = await fill()
    const looking = nearest(index, many)
    await new Promise(setImmediate)
    await index.eraseTenant('her')
    await index.add({ ...entryOf('new'), vector: vectorOf(many) })
    const kept = Array.from({ length: many }, (_, i) => many - 1 - i).filter((i) => i % 3 !== 0)
    const found = questions(await looking).filter((question) => question !== 'new')
    expect(found).toEqual(kept.map((i) => `question ${i}`))
  })

  it('the place of what was erased is taken by the next', async () => {
    const index = await fill()
    const looking = nearest(index, 2)
    await new Promise(setImmediate)
    await index.eraseTenant('him')
    expect(questions(await looking)).toEqual(['question 78', 'question 75'])
  })

  it('all may go', async () => {
    const index = await fill()
    const looking = nearest(index, 2)
    await index.eraseTenant('him')
    await index.eraseTenant('her')
    expect(await looking).toEqual([])
  })
})

it.each([0, 100, 1_000])(
  'pgvector finds an answer behind many nearer ones of another hard key (compared: %i)',
  async (comparedMax) => {
    const index = await openPgvector({ comparedMax })
    const { hardKey: _, vector: near, ...entry } = entryOf('the quick brown fox')
    await pglite.query(
      `INSERT INTO semantic_answers (id, tenant_id, hard_key, question, answer, embedding, dimensions, stored_at)
     SELECT 'o' || i, 't', 'other', 'q', '{}', $1::vector, 256, now() FROM generate_series(1, 300) AS i`,
      [`[${near.join(',')}]`],
    )
    await index.add({ ...entry, hardKey: 'k', vector: ngramEmbedding('the quick brown foxes') })
    const found = await index.nearest({ hardKey: 'k', vector: near, count: 4 })
    expect(found.map(({ question }) => question)).toEqual(['the quick brown fox'])
  },
)

it('pgvector looks the nearest up in its index', async () => {
  await openPgvector()
  const { rows } = await pglite.query<{ indexdef: string }>(
    `SELECT indexdef FROM pg_indexes WHERE indexname = 'semantic_answers_near_256'`,
  )
  expect(rows[0]?.indexdef).toContain('USING hnsw')
})

it('a server that cannot have pgvector is known, not a failure', async () => {
  const { drop, url } = await testDatabase()
  const bare = openDatabase({ url, logger: silentLogger })
  // Where the server has the extension, this keeps it from being made.
  await bare.query(`CREATE TABLE vector (x int)`)
  expect(await openPgvectorIndex({ db: bare, logger: silentLogger, dimensions: 4, ttlMs })).toBeUndefined()
  await bare.stop()
  await drop()
})
