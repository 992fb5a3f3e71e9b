/*
 * The independent half of the proof: makes the result events, knows what they must come to, and compares that with the
 * database. It shares no code with the product: own ids, own arithmetic, plain SQL.
 */
import { createHash } from 'node:crypto'
import pg from 'pg'

/** Nano-units for a million tokens, as the suite puts them into the price book: lane → usage type. */
export const prices = {
  batch: { input: 75_000_000n, output: 300_000_000n },
  realtime: { input: 150_000_000n, output: 600_000_000n },
}

const linesPerChunk = 64

/** Events of batches and live requests, some twice from two workers, and what they must come to. */
export function makeTruth({ batches, linesPerBatch, liveRequests, random, nowMs }) {
  const whole = (below) => Math.floor(random() * below)
  const hex = (digits) => Array.from({ length: digits }, () => whole(16).toString(16)).join('')
  const id = () => nowMs.toString(16).padStart(12, '0') + hex(20)
  const truth = { batches: [], events: [], requests: 0, nano: 0n }
  const result = (fields) => {
    const promptTokens = 1 + whole(2_000)
    const usage = {
      promptTokens,
      cachedTokens: random() < 0.3 ? null : whole(promptTokens + 1),
      completionTokens: whole(500),
      reasoningTokens: 0,
    }
    const failed = random() < 0.1
    return {
      ...{ tenantId: 'proof', apiKeyId: 'key_proof', endpoint: '/v1/chat/completions', model: 'm', pool: 'default' },
      ...{ attempt: 1, outcome: failed ? 'failed' : 'succeeded', statusCode: failed ? 400 : 200, errorCode: null },
      ...{ usage, queuedMs: 1, firstTokenMs: null, durationMs: 10, finishedAtMs: nowMs, bytes: null },
      bodyHash: createHash('sha256').update(fields.requestId).digest('hex'),
      ...fields,
    }
  }
  const event = (workerId, results) => ({
    ...{ v: 1, kind: 'results', id: `event_${id()}`, workerId, pool: 'default', sentAtMs: nowMs, partKey: null },
    ...{ results, chunks: [] },
  })
  const count = (results, into) => {
    for (const { lane, outcome, usage } of results) {
      truth.requests++
      into[outcome === 'failed' ? 'failed' : 'completed']++
      if (outcome === 'failed') continue
      const nano = costOf(usage, prices[lane])
      into.nano += nano
      into.entries++
      into.prompt += usage.promptTokens
      into.output += usage.completionTokens
      truth.nano += nano
    }
  }
  for (let b = 0; b < batches; b++) {
    const name = id()
    const batch = {
      id: `batch_${name}`,
      total: linesPerBatch,
      completed: 0,
      failed: 0,
      nano: 0n,
      entries: 0,
      prompt: 0,
      output: 0,
    }
    truth.batches.push(batch)
    for (let line = 1; line <= linesPerBatch; ) {
      const results = []
      for (const last = Math.min(linesPerBatch, line + whole(12)); line <= last; line++) {
        const at = { batchId: batch.id, line, chunk: Math.floor((line - 1) / linesPerChunk), lane: 'batch' }
        results.push(result({ requestId: `batch_req_${name}_${line}`, customId: `c${line}`, ...at }))
      }
      count(results, batch)
      truth.events.push(event('worker_a', results))
      // A second worker ran the same lines and saw the same: whoever comes first, the sums are the same.
      if (random() < 0.2)
        truth.events.push(
          event(
            'worker_b',
            results.map((r) => ({ ...r, attempt: 2 })),
          ),
        )
    }
  }
  truth.live = { completed: 0, failed: 0, nano: 0n, entries: 0, prompt: 0, output: 0 }
  for (let i = 0; i < liveRequests; i++) {
    const at = { batchId: null, line: null, chunk: null, customId: null, lane: 'realtime' }
    const results = [result({ requestId: `req_${id()}`, ...at })]
    count(results, truth.live)
    truth.events.push(event('worker_a', results))
  }
  return truth
}

/** Each usage type rounded once, half up: uncached input, cached input at the input's price, output. */
function costOf(usage, price) {
  const cached = BigInt(usage.cachedTokens ?? 0)
  const parts = [
    [BigInt(usage.promptTokens) - cached, price.input],
    [cached, price.input],
    [BigInt(usage.completionTokens), price.output],
  ]
  return parts.reduce((sum, [tokens, nano]) => sum + (tokens * nano + 500_000n) / 1_000_000n, 0n)
}

/** Puts tenant, prices and batches into an empty database. */
export async function prepare(databaseUrl, truth) {
  await withClient(databaseUrl, async (db) => {
    await db.query(`INSERT INTO tenants (id, name) VALUES ('proof', 'Proof')`)
    for (const [lane, types] of Object.entries(prices))
      for (const [type, nano] of Object.entries(types))
        await db.query(
          `INSERT INTO prices (model, usage_type, lane, nano_per_million, effective_from) VALUES ('*', $1, $2, $3, to_timestamp(0))`,
          [type, lane, String(nano)],
        )
    await db.query(`INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key)
      VALUES ('file-proof', 'proof', 'in.jsonl', 'batch', 1, '', 'k')`)
    for (const { id, total } of truth.batches)
      await db.query(
        `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, total, expires_at)
         VALUES ($1, 'proof', 'key_proof', '/v1/chat/completions', 'file-proof', '24h', 'in_progress', $2, now() + interval '1 day')`,
        [id, total],
      )
  })
}

/** How many audit rows there are. */
export async function countRequests(databaseUrl) {
  return withClient(databaseUrl, async (db) => Number((await db.query('SELECT count(*) FROM requests')).rows[0].count))
}

/** Compares the database with the truth. */
export async function compare(databaseUrl, truth) {
  return withClient(databaseUrl, async (db) => {
    const problems = []
    let [lost, doubled, difference] = [0, 0, 0n]
    const expect = (what, is, should) => {
      if (String(is) !== String(should)) problems.push(`${what}: ${is}, and should be ${should}`)
    }
    const wanted = new Map(truth.events.flatMap(({ results }) => results.map((r) => [r.requestId, r])))
    const { rows: found } = await db.query(
      `SELECT id, outcome, tenant_id, lane, prompt_tokens, cached_tokens, completion_tokens, encode(body_hash, 'hex') AS hash, line,
         custom_id, model FROM requests`,
    )
    const seen = new Set()
    for (const row of found) {
      if (seen.has(row.id) || !wanted.has(row.id)) doubled++
      seen.add(row.id)
      const r = wanted.get(row.id)
      if (r === undefined) continue
      const is = [row.outcome, row.tenant_id, row.lane, row.prompt_tokens, row.cached_tokens, row.completion_tokens]
      const should = [
        r.outcome,
        r.tenantId,
        r.lane,
        r.usage.promptTokens,
        r.usage.cachedTokens,
        r.usage.completionTokens,
      ]
      expect(
        `row ${row.id}`,
        [...is, row.hash, row.line, row.custom_id, row.model],
        [...should, r.bodyHash, r.line, r.customId, r.model],
      )
    }
    for (const id of wanted.keys()) if (!seen.has(id)) lost++
    const { rows: entries } = await db.query(
      `SELECT request_id, kind, amount_nano, batch_id, tenant_id, prompt_tokens, cached_tokens, completion_tokens,
         cardinality(price_ids) AS prices FROM ledger WHERE kind <> 'idle'`,
    )
    const charged = new Map()
    for (const entry of entries) {
      if (charged.has(entry.request_id)) doubled++
      charged.set(entry.request_id, entry)
      const r = wanted.get(entry.request_id)
      const should = r === undefined || r.outcome === 'failed' ? 0n : costOf(r.usage, prices[r.lane])
      const off = BigInt(entry.amount_nano) - should
      difference += off < 0n ? -off : off
      if (r === undefined || r.outcome === 'failed') problems.push(`${entry.request_id} was charged`)
      else
        expect(
          `entry of ${r.requestId}`,
          [
            entry.kind,
            entry.batch_id,
            entry.tenant_id,
            entry.prompt_tokens,
            entry.cached_tokens,
            entry.completion_tokens,
          ],
          ['usage', r.batchId, r.tenantId, r.usage.promptTokens, r.usage.cachedTokens, r.usage.completionTokens],
        )
    }
    for (const r of wanted.values()) {
      if (r.outcome === 'failed' || charged.has(r.requestId)) continue
      lost++
      difference += costOf(r.usage, prices[r.lane])
    }
    const { rows: batches } = await db.query('SELECT * FROM batches')
    for (const should of truth.batches) {
      const is = batches.find((row) => row.id === should.id)
      for (const [column, value] of [
        ['completed', should.completed],
        ['failed', should.failed],
        ['prompt_tokens', should.prompt],
        ['completion_tokens', should.output],
        ['cost_nano', should.nano],
      ])
        expect(`${column} of ${should.id}`, is?.[column], value)
    }
    const { rows: chunks } = await db.query('SELECT batch_id, chunk, done FROM chunk_progress')
    for (const { id, total } of truth.batches)
      for (let chunk = 0; chunk * linesPerChunk < total; chunk++)
        expect(
          `done of chunk ${chunk} of ${id}`,
          chunks.find((row) => row.batch_id === id && row.chunk === chunk)?.done,
          Math.min(linesPerChunk, total - chunk * linesPerChunk),
        )
    // What a second worker spent on a line is waste, once; what was only delivered again is not.
    const pairs = truth.events.flatMap(({ results, workerId }) =>
      results.map((r) => `${r.requestId} ${workerId} ${r.attempt}`),
    )
    const { rows: waste } = await db.query(`SELECT count(*) FROM waste WHERE reason <> 'failed'`)
    expect('waste', waste[0].count, new Set(pairs).size - wanted.size)
    return { lost, doubled, ledgerDifferenceNano: Number(difference), problems }
  })
}

async function withClient(url, use) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
