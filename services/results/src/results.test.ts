import type { ResultEvent } from '@forebay/contracts'
import { silentLogger, systemClock } from '@forebay/kernel'
import { ledgerDrift } from '@forebay/ledger'
import { openDatabase } from '@forebay/store'
import { eventually } from '@forebay/test-support'
import { describe, expect, it } from 'vitest'
import { commitApart, type GroupOutcome } from './commit-apart.ts'
import { commitEvents } from './commit-events.ts'
import { seedPrices } from './index.ts'
import { addBatch, eventOf, one, openTestDatabase, resultOf, runResults } from './testing/harness.ts'

// (80 + 20) input at 75 nano a token and 10 output at 300: the batch lane of the seeded prices.
const lineNano = 100 * 75 + 10 * 300

const linesFrom = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

/** A repeatable shuffle, so that a failure can be run again. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

describe('results', () => {
  it('counts and charges every line once, however often and in whatever order its event comes to three replicas', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const total = 2_000
    const batchIds = [await addBatch(db, total), await addBatch(db, total)]
    const events = batchIds.flatMap((batchId) =>
      linesFrom(0, total / 20).map((i) =>
        eventOf(
          linesFrom(i * 20 + 1, 20).map((line) => {
            const failed = line % 10 === 0
            return resultOf({ batchId, line, outcome: failed ? 'failed' : 'succeeded', statusCode: failed ? 400 : 200 })
          }),
        ),
      ),
    )
    const deliveries = shuffled(
      events.flatMap((event, i) => linesFrom(0, 1 + (i % 5)).map(() => event)),
      7,
    )
    const service = await runResults(db, 3)
    await service.send(deliveries)
    await eventually(() => service.drained(), { what: 'all events to be settled', timeoutMs: 18_000 })

    for (const batchId of batchIds) {
      const batch = await one(db, 'SELECT * FROM batches WHERE id = $1', [batchId])
      expect(batch).toMatchObject({
        completed: 1_800,
        failed: 200,
        prompt_tokens: 180_000,
        cached_tokens: 36_000,
        completion_tokens: 18_000,
        reasoning_tokens: 7_200,
        cost_nano: 1_800 * lineNano,
      })
      const ledger = 'SELECT count(*) AS entries, sum(amount_nano)::bigint AS nano FROM ledger WHERE batch_id = $1'
      expect(await one(db, ledger, [batchId])).toEqual({ entries: 1_800, nano: 1_800 * lineNano })
      const progress =
        'SELECT count(*) AS chunks, sum(done) AS done, max(done) AS most FROM chunk_progress WHERE batch_id = $1'
      expect(await one(db, progress, [batchId])).toEqual({ chunks: 32, done: 2_000, most: 64 })
    }
    expect(await db.query('SELECT reason, count(*)::int AS rows FROM waste GROUP BY 1')).toEqual([
      { reason: 'failed', rows: 400 },
    ])
    expect(service.deadReasons()).toEqual([])
    expect(await ledgerDrift(db)).toMatchObject({ entries: 3_600, driftNano: 0, unmatched: 0 })
  })

  it('has what it runs again and again planned once, also when the tables get another partition meanwhile', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const batchId = await addBatch(db, 40)
    for (let line = 1; line <= 20; line++) {
      if (line === 11) await db.query(`SELECT add_audit_month('2032-03-01')`)
      await commitEvents({ db, events: [eventOf([resultOf({ batchId, line, apiKeyId: `key_${line % 3}` })])] })
    }
    // One connection did it all: each commit came after the last.
    const planned = await db.query<{ name: string; statement: string; plans: number }>(
      `SELECT name, left(statement, 24) AS statement, (generic_plans + custom_plans)::int AS plans
       FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO requests%'`,
    )
    expect(planned).toEqual([
      { name: expect.stringMatching(/^forebay_/), statement: expect.stringContaining('WITH rows'), plans: 19 },
    ])
    expect(await one(db, 'SELECT completed, cost_nano FROM batches WHERE id = $1', [batchId])).toEqual({
      completed: 20,
      cost_nano: 20 * lineNano,
    })
    expect(await ledgerDrift(db)).toMatchObject({ entries: 20, driftNano: 0, unmatched: 0 })
  })

  it('keeps why a live request went where it went', async () => {
    const db = await openTestDatabase()
    const live = { requestId: 'req_1', batchId: null, line: null, chunk: null, lane: 'realtime', bytes: null } as const
    await commitEvents({ db, events: [eventOf([resultOf({ ...live, route: 'eu: the best score.' })])] })
    expect(await one(db, 'SELECT route_reason FROM requests')).toEqual({ route_reason: 'eu: the best score.' })
  })

  it('commits nothing again when a replica dies between its commit and the acknowledgement', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const batchId = await addBatch(db, 2)
    const event = eventOf([resultOf({ batchId, line: 1 }), resultOf({ batchId: null })])
    // Committed by a process that never acknowledged: the broker delivers the event again.
    await commitEvents({ db, events: [event] })
    const service = await runResults(db)
    await service.send([event])
    await eventually(() => service.drained(), { what: 'the event to be settled' })
    expect(await one(db, 'SELECT completed, cost_nano FROM batches')).toEqual({ completed: 1, cost_nano: lineNano })
    expect(await one(db, 'SELECT count(*) AS rows FROM ledger')).toEqual({ rows: 2 })
    expect(await one(db, 'SELECT done FROM chunk_progress')).toEqual({ done: 1 })
    expect(await one(db, 'SELECT count(*) AS rows FROM waste')).toEqual({ rows: 0 })
  })

  it('records what another worker spent on a finished line as waste, once, and charges nothing for it', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const batchId = await addBatch(db, 2)
    const first = eventOf([resultOf({ batchId })])
    const late = eventOf([resultOf({ batchId, attempt: 2 })], { workerId: 'w2' })
    await commitEvents({ db, events: [first] })
    expect((await commitEvents({ db, events: [late] })).wasted).toEqual(['duplicate'])
    expect((await commitEvents({ db, events: [late, first] })).wasted).toEqual([])
    expect(await db.query('SELECT worker_id, attempt, reason, prompt_tokens FROM waste')).toEqual([
      { worker_id: 'w2', attempt: 2, reason: 'duplicate', prompt_tokens: 100 },
    ])
    expect(await one(db, 'SELECT completed, cost_nano FROM batches')).toEqual({ completed: 1, cost_nano: lineNano })
  })

  it('lets one of two attempts win when both come in the same transaction', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 2)
    const events = ['w1', 'w2'].map((workerId) => eventOf([resultOf({ batchId })], { workerId }))
    const summary = await commitEvents({ db, events })
    expect(summary.committed.map(({ arrival }) => arrival.workerId)).toEqual(['w1'])
    expect(summary.wasted).toEqual(['duplicate'])
    expect(await one(db, 'SELECT completed FROM batches')).toEqual({ completed: 1 })
  })

  it('commits nothing to a closed or unknown batch: waste, uncharged, and no waste for what was committed before', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const batchId = await addBatch(db, 2)
    const before = eventOf([resultOf({ batchId, line: 1 })])
    await commitEvents({ db, events: [before] })
    await db.query('UPDATE batches SET closed_at = now()')
    const note = { batchId, chunk: 0, attempt: 1, state: 'returned' } as const
    const after = eventOf([resultOf({ batchId, line: 2 }), resultOf({ batchId: 'batch_gone' })], { chunks: [note] })
    expect((await commitEvents({ db, events: [before, after] })).wasted).toEqual(['closed', 'closed'])
    expect(await one(db, 'SELECT completed, cost_nano FROM batches')).toEqual({ completed: 1, cost_nano: lineNano })
    expect(await one(db, 'SELECT count(*) AS rows FROM ledger')).toEqual({ rows: 1 })
    expect(await one(db, 'SELECT done, returned_attempt FROM chunk_progress')).toEqual({ done: 1, returned_attempt: 0 })
  })

  it('waits for a close under way and then commits nothing to that batch', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 1)
    let commit: Promise<{ wasted: string[] }> | undefined
    await db.tx(async (tx) => {
      await tx.query('UPDATE batches SET closed_at = now()')
      commit = commitEvents({ db, events: [eventOf([resultOf({ batchId })])] })
      const blocked = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
      await eventually(async () => (await one(db, blocked))['n'] === 1, { what: 'the commit to wait for the batch' })
    })
    expect((await commit)?.wasted).toEqual(['closed'])
  })

  it('charges the succeeded and those whose client left, never the failed', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const outcomes = ['succeeded', 'cancelled', 'failed'] as const
    await commitEvents({ db, events: [eventOf(outcomes.map((outcome) => resultOf({ batchId: null, outcome })))] })
    const rows = await db.query(
      `SELECT outcome, amount_nano, price_ids FROM requests LEFT JOIN ledger ON request_id = requests.id ORDER BY outcome`,
    )
    expect(rows).toEqual([
      { outcome: 'cancelled', amount_nano: 2 * lineNano, price_ids: ['1', '2'] },
      { outcome: 'failed', amount_nano: null, price_ids: null },
      { outcome: 'succeeded', amount_nano: 2 * lineNano, price_ids: ['1', '2'] },
    ])
  })

  it('charges the line that ran in full and the identical ones their input as cached, and counts only the first for the prefix cache', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    await db.query(
      "INSERT INTO prices (model, usage_type, lane, nano_per_million, effective_from) VALUES ('*', 'cached_input', 'batch', 10000000, to_timestamp(0))",
    )
    const batchId = await addBatch(db, 1_000)
    const results = linesFrom(1, 1_000).map((line) =>
      resultOf({ batchId, line, source: line === 1 ? 'engine' : 'identical' }),
    )
    await commitEvents({ db, events: [eventOf(results), eventOf(results)] })
    const { promptTokens, cachedTokens, completionTokens } = resultOf({ batchId }).usage
    const kinds = await db.query(
      'SELECT kind, count(*)::int AS entries, min(amount_nano) AS least, max(amount_nano) AS most FROM ledger GROUP BY kind ORDER BY kind',
    )
    const full = (promptTokens - (cachedTokens ?? 0)) * 75 + (cachedTokens ?? 0) * 10 + completionTokens * 300
    expect(kinds).toEqual([
      { kind: 'cache_hit', entries: 999, least: promptTokens * 10, most: promptTokens * 10 },
      { kind: 'usage', entries: 1, least: full, most: full },
    ])
    expect(await one(db, 'SELECT * FROM batches WHERE id = $1', [batchId])).toMatchObject({
      completed: 1_000,
      cost_nano: full + 999 * promptTokens * 10,
      identical: 999,
      told_prompt_tokens: promptTokens,
      told_cached_tokens: cachedTokens,
      untold: 0,
    })
  })

  it('charges at the price in force when the request finished, and nothing when there was none', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 4)
    const prices = [
      { tenant: null, nano: 1_000_000, from: 1_000, to: 2_000 },
      { tenant: null, nano: 2_000_000, from: 2_000, to: null },
      { tenant: 'acme', nano: 3_000_000, from: 3_000, to: null },
    ]
    for (const { from, nano, tenant, to } of prices) {
      await db.query(
        `INSERT INTO prices (tenant_id, model, usage_type, nano_per_million, effective_from, effective_to)
         VALUES ($1, '*', 'input', $2, to_timestamp($3), to_timestamp($4))`,
        [tenant, nano, from, to],
      )
    }
    const at = [999_999, 1_000_000, 2_000_000, 3_000_000]
    const results = at.map((finishedAtMs, i) => resultOf({ batchId, line: i + 1, finishedAtMs }))
    await commitEvents({ db, events: [eventOf(results)] })
    const entries = await db.query('SELECT amount_nano AS nano, price_ids AS ids FROM ledger ORDER BY occurred_at')
    expect(entries).toEqual([
      { nano: 0, ids: [] },
      { nano: 100, ids: ['1'] },
      { nano: 200, ids: ['2'] },
      { nano: 300, ids: ['3'] },
    ])
  })

  it('tells the drift of a ledger that was tampered with, also when errors cancel out', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const results = linesFrom(1, 3).map(() => resultOf({ batchId: null }))
    await commitEvents({ db, events: [eventOf(results)] })
    const [less, more, gone] = results.map((result) => result.requestId)
    await db.query('ALTER TABLE ledger DISABLE TRIGGER ledger_append_only')
    await db.query('UPDATE ledger SET amount_nano = amount_nano - 7 WHERE request_id = $1', [less])
    await db.query('UPDATE ledger SET amount_nano = amount_nano + 7 WHERE request_id = $1', [more])
    await db.query('DELETE FROM ledger WHERE request_id = $1', [gone])
    expect(await ledgerDrift(db)).toMatchObject({ entries: 3, driftNano: 14 + 2 * lineNano, unmatched: 1 })
  })

  it('seeds prices only into an empty book, also when two processes try at once', async () => {
    const db = await openTestDatabase()
    const seeded = await Promise.all([seedPrices(db), seedPrices(db), seedPrices(db)])
    expect(seeded.filter(Boolean)).toHaveLength(1)
    expect(await seedPrices(db)).toBe(false)
    expect(await one(db, 'SELECT count(*) AS rows FROM prices')).toEqual({ rows: 4 })
  })

  it('notes which chunks are held and which were handed back, the highest attempt winning', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 1)
    const tell = (state: 'held' | 'returned', attempt: number) =>
      commitEvents({ db, events: [eventOf([], { chunks: [{ batchId, chunk: 3, attempt, state }] })] })
    await tell('held', 1)
    await db.query(`UPDATE chunk_progress SET last_seen_at = 'epoch'`)
    await tell('held', 1)
    const seen = `SELECT done, returned_attempt, last_seen_at > now() - interval '1 minute' AS seen FROM chunk_progress`
    expect(await one(db, seen)).toEqual({ done: 0, returned_attempt: 0, seen: true })
    await tell('returned', 2)
    await tell('returned', 1)
    expect(await one(db, seen)).toEqual({ done: 0, returned_attempt: 2, seen: true })
  })

  it('tells the schedulers once per transaction that moved a batch', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 10)
    const heard: string[] = []
    const listening = await db.listen('forebay_progress', (payload) => heard.push(payload))
    const events = linesFrom(1, 4).map((line) => eventOf([resultOf({ batchId, line })]))
    await commitEvents({ db, events })
    await commitEvents({ db, events: [eventOf([resultOf({ batchId: null })])] })
    await commitEvents({ db, events: [eventOf([resultOf({ batchId, line: 9 })])] })
    await eventually(() => heard.length >= 2, { what: 'two notices' })
    await listening.stop()
    expect(heard).toHaveLength(2)
  })

  it('commits texts with NUL characters and lone surrogates, replaced', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 1)
    const result = resultOf({
      batchId,
      customId: 'a\u0000b\ud800',
      errorCode: 'x\u0000',
      model: 'm\u0000',
      outcome: 'failed',
    })
    const service = await runResults(db)
    await service.send([eventOf([result])])
    await eventually(() => service.drained(), { what: 'the event to be settled' })
    expect(await one(db, 'SELECT custom_id, error_code, model FROM requests')).toEqual({
      custom_id: 'a\ufffdb\ufffd',
      error_code: 'x\ufffd',
      model: 'm\ufffd',
    })
  })

  it('dead-letters an event that cannot be committed, with its reason, and commits its neighbours', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 40)
    const good = linesFrom(1, 30).map((line) => eventOf([resultOf({ batchId, line })]))
    const tooMany = { promptTokens: 2 ** 40, cachedTokens: null, completionTokens: 0, reasoningTokens: 0 }
    const bad: ResultEvent[] = [
      eventOf([resultOf({ batchId, line: 31, usage: tooMany })]),
      eventOf([resultOf({ batchId, line: 32, chunk: null })]),
      eventOf([resultOf({ batchId, line: 33, finishedAtMs: 1e300 })]),
    ]
    const service = await runResults(db)
    await service.send(shuffled([...good, ...bad], 3))
    await eventually(() => service.drained(), { what: 'all events to be settled' })
    expect(await one(db, 'SELECT completed FROM batches')).toEqual({ completed: 30 })
    const reasons = service.deadReasons()
    expect(reasons.map(({ code }) => code)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(reasons.map(({ detail }) => detail?.split(':')[0]).sort()).toEqual(['22003', '22008', 'invalid_value'])
    expect(await service.registry.metrics()).toContain('forebay_result_events_rejected_total 3')
  })

  it('tries again, and commits, when the database broke a deadlock at its cost', async () => {
    const db = await openTestDatabase()
    const [low, high] = [await addBatch(db, 1), await addBatch(db, 1)].sort()
    const lock = 'SELECT FROM batches WHERE id = $1 FOR UPDATE'
    let commit: Promise<GroupOutcome> | undefined
    await db.tx(async (tx) => {
      await tx.query(lock, [high])
      const events = [low, high].map((batchId) => eventOf([resultOf({ batchId: batchId ?? null })]))
      commit = commitApart({ db, clock: systemClock, events })
      const blocked = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
      await eventually(async () => (await one(db, blocked))['n'] === 1, { what: 'the commit to wait for a batch' })
      // Against the agreed order: the commit, which waits longer, is the one that the database ends.
      await tx.query(lock, [low])
    })
    expect((await commit)?.rejected).toEqual([])
    expect(await one(db, 'SELECT sum(completed) AS done FROM batches')).toEqual({ done: 2 })
    const deadlocks = 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'
    await eventually(async () => (await one(db, deadlocks))['deadlocks'] === 1, { what: 'the deadlock to be counted' })
  })

  it('acknowledges nothing while the database refuses, and commits once it is back', async () => {
    const db = await openTestDatabase()
    const batchId = await addBatch(db, 1)
    await db.query('ALTER TABLE ledger RENAME TO ledger_away')
    const service = await runResults(db)
    await service.send([eventOf([resultOf({ batchId })])])
    const rolledBack = `SELECT xact_rollback > 1 AS yes FROM pg_stat_database WHERE datname = current_database()`
    await eventually(async () => (await one(db, rolledBack))['yes'], { what: 'a commit to be tried in vain' })
    expect(await service.queues.queue('default.results').depth()).toMatchObject({ inFlight: 1, dead: 0 })
    await db.query('ALTER TABLE ledger_away RENAME TO ledger')
    await eventually(() => service.drained(), { what: 'the event to be settled' })
    expect(await one(db, 'SELECT completed FROM batches')).toEqual({ completed: 1 })
  })

  it('gives back what is not committed when it stops while the database is down', async () => {
    const down = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', logger: silentLogger })
    const service = await runResults(down)
    await service.send([eventOf([resultOf({ batchId: null })])])
    const queue = service.queues.queue('default.results')
    await eventually(async () => (await queue.depth()).inFlight === 1, { what: 'the event to be received' })
    await service.stop()
    expect(await queue.depth()).toMatchObject({ visible: 1, inFlight: 0, dead: 0 })
    await down.stop()
  })

  it('takes up a pool that begins to serve a model while it runs', async () => {
    const db = await openTestDatabase()
    const service = await runResults(db)
    await service.send([eventOf([resultOf({ batchId: null })], { pool: 'late' })], 'late')
    await db.query(`INSERT INTO models (pool, model, engine) VALUES ('late', 'm', 'vllm')`)
    await eventually(() => service.drained('late'), { what: 'the event of the new pool to be settled' })
    expect(await one(db, 'SELECT count(*) AS rows FROM requests')).toEqual({ rows: 1 })
  })

  it('counts what it committed in its metrics', async () => {
    const db = await openTestDatabase()
    await seedPrices(db)
    const batchId = await addBatch(db, 3)
    const service = await runResults(db)
    const lines = [resultOf({ batchId }), resultOf({ batchId, line: 2 })]
    const failed = resultOf({ batchId, line: 3, outcome: 'failed', statusCode: 400 })
    await service.send([eventOf([...lines, failed, resultOf({ batchId: 'batch_gone' })])])
    await eventually(() => service.drained(), { what: 'the event to be settled' })
    const text = await service.registry.metrics()
    for (const line of [
      'forebay_requests_committed_total{outcome="succeeded",lane="batch",model="m"} 2',
      'forebay_requests_committed_total{outcome="failed",lane="batch",model="m"} 1',
      'forebay_tokens_committed_total{type="prompt",lane="batch",model="m"} 300',
      'forebay_tokens_committed_total{type="cached",lane="batch",model="m"} 60',
      'forebay_tokens_committed_total{type="completion",lane="batch",model="m"} 30',
      'forebay_tokens_committed_total{type="reasoning",lane="batch",model="m"} 12',
      'forebay_prefix_cache_tokens_total{found="yes",lane="batch",model="m"} 60',
      'forebay_prefix_cache_tokens_total{found="no",lane="batch",model="m"} 240',
      `forebay_ledger_nano_total{currency="USD",lane="batch",model="m"} ${2 * lineNano}`,
      'forebay_results_wasted_total{reason="closed"} 1',
      'forebay_results_lag_seconds_count 1',
    ])
      expect(text).toContain(line)
  })
})
