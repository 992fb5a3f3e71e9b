import { silentLogger } from '@forebay/kernel'
import { type Database, openDatabase } from '@forebay/store'
import { type TestDatabase, testDatabase } from '@forebay/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { unnest } from './unnest.ts'

let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await testDatabase({ migrated: false })
  db = openDatabase({ url: database.url, logger: silentLogger })
})
afterAll(async () => {
  await db?.stop()
  await database?.drop()
})

type Sample = { id: string | null; n: number | null }

const back = async (rows: readonly Sample[]) => {
  const { from, names, values } = unnest(rows, {
    fixed: ['text', () => 'a "fixed" \\ word'],
    id: ['text', (row) => row.id],
    n: ['bigint', (row) => row.n],
    nothing: ['int', () => null],
  })
  return db.query(`SELECT ${names} FROM ${from}`, values)
}

it('gives every row back as it was and in order, whatever characters are in it', async () => {
  const texts = ['plain', '', 'NULL', 'null', '{a,b}', 'a,"b"', 'back\\slash', "it's", 'line\nbreak', '水', null]
  const rows = texts.map((id, i) => ({ id, n: i % 3 === 0 ? null : i * 2 ** 40 }))
  const expected = rows.map((row) => ({ fixed: 'a "fixed" \\ word', ...row, nothing: null }))
  expect(await back(rows)).toEqual(expected)
})

it('keeps the number of rows when no column differs, and for one row', async () => {
  const row = { id: 'same', n: 1 }
  expect(await back([row])).toHaveLength(1)
  expect(await back([row, row, row])).toHaveLength(3)
  const { from, values } = unnest([row, row], { id: ['text', (r) => r.id] })
  expect(await db.query(`SELECT id FROM ${from}`, values)).toEqual([{ id: 'same' }, { id: 'same' }])
})
