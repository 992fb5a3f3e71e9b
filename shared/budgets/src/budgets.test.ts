import { isForebayError, silentLogger, systemClock } from '@forebay/kernel'
import { type Database, openDatabase, type Row } from '@forebay/store'
import { testDatabase } from '@forebay/test-support'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { BudgetBook } from './budget-book.ts'
import { BudgetDesk, type Draw } from './budget-desk.ts'
import { holdForBatch, releaseBatchHolds, sweepHolds } from './holds.ts'
import { listBudgets, setBudget } from './set-budget.ts'
import { spendBudgets } from './spend.ts'

let db: Database
let drop: () => Promise<void>
beforeAll(async () => {
  const database = await testDatabase()
  drop = database.drop
  db = openDatabase({ url: database.url, logger: silentLogger, connectionsMax: 12 })
  await db.query(`INSERT INTO tenants (id, name) VALUES ('acme', 'Acme')`)
  await db.query(`INSERT INTO projects (tenant_id, id, name) VALUES ('acme', 'search', 'Search')`)
  await db.query(
    `INSERT INTO api_keys (id, tenant_id, project_id, name, hash, hint) VALUES ('key_1', 'acme', 'search', 'k', sha256('k'), 'k')`,
  )
})
afterAll(async () => {
  await db.stop()
  await drop()
})
beforeEach(() => db.query('DELETE FROM budgets'))

const spender = { tenantId: 'acme', projectId: 'search', keyId: 'key_1' }
const budget = (over: Partial<Parameters<typeof setBudget>[1]>) => {
  const wish = { tenant_id: 'acme', scope: 'tenant', scope_id: 'acme', period: 'total', currency: 'USD' } as const
  return setBudget(db, { ...wish, soft_nano: null, hard_nano: null, ...over }, Date.now())
}
const spend = (amountNano: number, holds: Draw['holds'] = [], batches = new Map<string, number>()) =>
  db.tx((tx) =>
    spendBudgets(tx, {
      spending: [{ tenantId: 'acme', keyId: 'key_1', currency: 'USD', amountNano, atMs: Date.now() }],
      holds,
      batches,
    }),
  )
const standing = async () => (await listBudgets(db, 'acme')).map(({ held_nano, spent_nano }) => [spent_nano, held_nano])

/** A gateway's side of it. */
async function openDesk(): Promise<BudgetDesk> {
  const book = new BudgetBook({ db, clock: systemClock, logger: silentLogger })
  await book.refresh()
  return new BudgetDesk({ db, book, clock: systemClock, logger: silentLogger, resultsMs: 60_000 })
}

it('never lets spent and held together pass the limit, with 500 requests at once on four gateways of which one dies, and gives back every hold', async () => {
  const [estimate, limit] = [1_000, 200_000]
  await budget({ hard_nano: limit })
  await budget({ scope: 'key', scope_id: 'key_1', hard_nano: limit + 7_000 })
  const desks = await Promise.all([1, 2, 3, 4].map(openDesk))
  const most: number[] = []
  let over = false
  const watch = async () => {
    while (!over) for (const [spent = 0, held = 0] of await standing()) most.push(spent + held)
  }
  const watching = watch()
  let charged = 0
  const outcomes = await Promise.all(
    Array.from({ length: 500 }, async (_, i) => {
      const desk = desks[i % desks.length]
      try {
        const draw = await desk?.admit(spender, () => ({ nano: estimate, currency: 'USD' }))
        if (!draw) return 'unlimited'
        // Each seventh request was never sent; each fifth is lost together with its worker and never charged.
        if (i % 7 === 0) draw.undo()
        else if (i % 5 !== 0) {
          const cost = estimate - (i % 3) * 100
          await spend(cost, draw.holds)
          charged += cost
        }
        return 'admitted'
      } catch (err) {
        if (isForebayError(err) && err.code === 'insufficient_quota') return 'refused'
        throw err
      }
    }),
  )
  // The first gateway dies: it gives nothing back.
  for (const desk of desks.slice(1)) await desk.stop()
  over = true
  await watching
  const count = (outcome: string) => outcomes.filter((one) => one === outcome).length
  expect(count('admitted') + count('refused')).toBe(500)
  expect(count('admitted')).toBeGreaterThan(150)
  expect(count('refused')).toBeGreaterThan(50)
  expect(Math.max(...most)).toBeLessThanOrEqual(limit + 7_000)
  const [[spent = 0, held = 0] = []] = await standing()
  expect(spent).toBe(charged)
  expect(spent + held).toBeLessThanOrEqual(limit)
  const [open] = await db.query<Row & { nano: number }>(
    'SELECT coalesce(sum(amount_nano), 0)::bigint AS nano FROM holds',
  )
  expect(open?.nano).toBe((await standing()).reduce((sum, [, now = 0]) => sum + now, 0))
  expect(open?.nano).toBeGreaterThan(0)
  await db.query('UPDATE holds SET expires_at = now()')
  await sweepHolds(db)
  expect(await standing()).toEqual([
    [charged, 0],
    [charged, 0],
  ])
  expect(await db.query('SELECT FROM holds')).toEqual([])
})

it('asks the database once for many requests, and for none where no budget applies', async () => {
  expect(await (await openDesk()).admit(spender, () => ({ nano: 1, currency: 'USD' }))).toBeUndefined()
  await budget({ scope: 'project', scope_id: 'search', hard_nano: 1_000_000 })
  const desk = await openDesk()
  for (let i = 0; i < 100; i++) await desk.admit(spender, () => ({ nano: 100, currency: 'USD' }))
  expect(await db.query('SELECT FROM holds')).toHaveLength(1)
  expect(await desk.admit({ ...spender, projectId: 'other' }, () => ({ nano: 9, currency: 'USD' }))).toBeUndefined()
})

it('refuses with amounts, budget and way out, and lets a smaller request in', async () => {
  await budget({ scope: 'key', scope_id: 'key_1', period: 'day', hard_nano: 5_000_000_000 })
  const desk = await openDesk()
  const ask = (nano: number) => desk.admit(spender, () => ({ nano, currency: 'USD' }))
  await expect(ask(6_000_000_000)).rejects.toMatchObject({
    code: 'insufficient_quota',
    status: 429,
    message: expect.stringMatching(
      /may cost up to 6\.00 USD, and the budget of key 'key_1' \(5\.00 USD a day\) has 5\.00 USD left\. .*max_tokens/,
    ),
  })
  expect((await ask(4_000_000_000))?.holds).toMatchObject([{ nano: 4_000_000_000 }])
})

it('holds a batch until it is charged or ended, and refuses one that does not fit with nothing held', async () => {
  await budget({ hard_nano: 1_000 })
  const batch = { tenantId: 'acme', keyId: 'key_1', currency: 'USD', expiresAt: new Date(Date.now() + 60_000) }
  const hold = (id: string, estimateNano: number) => db.tx((tx) => holdForBatch(tx, { ...batch, id, estimateNano }))
  await hold('batch_a', 300)
  await hold('batch_a', 600)
  expect(await standing()).toEqual([[0, 600]])
  await expect(hold('batch_b', 500)).rejects.toMatchObject({ code: 'insufficient_quota' })
  await spend(250, [], new Map([['batch_a', 250]]))
  expect(await standing()).toEqual([[250, 350]])
  await spend(400, [], new Map([['batch_a', 400]]))
  expect(await standing()).toEqual([[650, 0]])
  await hold('batch_c', 350)
  await releaseBatchHolds(db, 'batch_c')
  await releaseBatchHolds(db, 'batch_c')
  expect(await standing()).toEqual([[650, 0]])
})

it('tells once per period that a soft limit is reached, and refuses nothing for it', async () => {
  await budget({ soft_nano: 100, period: 'day' })
  for (const nano of [60, 60, 60]) await spend(nano)
  const told = await db.query(`SELECT tenant_id, data FROM events WHERE type = 'budget.soft_reached'`)
  expect(told).toMatchObject([
    { tenant_id: 'acme', data: { scope: 'tenant', soft_nano: 100, spent_nano: 120, period: 'day' } },
  ])
  const draw = await (await openDesk()).admit(spender, () => ({ nano: 1_000_000, currency: 'USD' }))
  expect(draw).toMatchObject({ holds: [], softReached: true })
})

it('starts a budget with what was spent before, and counts only what is of its scope and currency', async () => {
  await db.query(
    `INSERT INTO ledger (request_id, kind, tenant_id, project_id, api_key_id, model, lane, prompt_tokens, completion_tokens,
       reasoning_tokens, amount_nano, price_ids, occurred_at)
     VALUES ('r1', 'usage', 'acme', 'search', 'key_1', 'm', 'batch', 1, 1, 0, 70, '{}', now())`,
  )
  await budget({ scope: 'project', scope_id: 'search', hard_nano: 100 })
  await budget({ scope: 'project', scope_id: 'default', hard_nano: 100 })
  await budget({ hard_nano: 100, currency: 'EUR' })
  await spend(5)
  expect(await standing()).toEqual([
    [75, 0],
    [0, 0],
    [0, 0],
  ])
})
