import { bornOf } from '@forebay/contracts'
import { newId } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { commitEvents } from './commit-events.ts'
import { eventOf, one, openTestDatabase, resultOf } from './testing/harness.ts'

it('a request has one day of birth, in the database as in the code, and its row is in the partition of that month', async () => {
  const db = await openTestDatabase()
  const atMs = Date.UTC(2031, 0, 31, 23, 59, 59, 999)
  const ids = [
    newId('req_', atMs),
    `${newId('batch_', atMs + 1)}`,
    `batch_req_${newId('', atMs)}_17`,
    'req_ffffffffffffffffffffffffffffffff',
    'batch_u',
    `req_${'0'.repeat(32)}`,
    '',
  ]
  const rows = await db.query('SELECT born_of(id)::text AS born FROM unnest($1::text[]) AS ids (id)', [ids])
  expect(rows.map((row) => row['born'])).toEqual(ids.map(bornOf))
  expect(ids.map(bornOf).slice(0, 4)).toEqual(['2031-01-31', '2031-02-01', '2031-01-31', '1970-01-01'])

  const requestId = newId('req_', atMs)
  const event = eventOf([resultOf({ batchId: null, requestId })])
  const where = () => one(db, 'SELECT tableoid::regclass::text AS partition FROM requests')
  expect((await commitEvents({ db, events: [event] })).committed).toHaveLength(1)
  expect(await where()).toEqual({ partition: 'requests_rest' })
  // Its month made afterwards takes it over, and it still cannot be committed again.
  expect(await one(db, 'SELECT add_audit_month($1)', [bornOf(requestId)])).toEqual({ add_audit_month: true })
  expect(await where()).toEqual({ partition: 'requests_2031_01' })
  expect((await commitEvents({ db, events: [event] })).committed).toEqual([])
  expect(await one(db, 'SELECT add_audit_month($1)', ['2031-01-02'])).toEqual({ add_audit_month: false })
})
