import { expect, test } from 'vitest'
import { type ContinuingChunk, preferPool } from './prefer-pool.ts'

const chunk = (index: number, more: Partial<ContinuingChunk> = {}): ContinuingChunk => ({
  ...{ index, continues: false, pool: null },
  ...more,
})
const orderFor = (pool: string, chunks: ContinuingChunk[]) => preferPool(chunks, pool).map(({ index }) => index)

test('a pool goes on with the prefix groups it has, then begins new ones, then helps the others', () => {
  const chunks = [
    chunk(3, { continues: true, pool: 'a' }),
    chunk(4, { continues: true }),
    chunk(5),
    chunk(6, { continues: true }),
    chunk(9, { continues: true, pool: 'b' }),
    chunk(10, { continues: true }),
    chunk(11),
  ]
  expect(orderFor('a', chunks)).toEqual([3, 4, 5, 6, 11, 9, 10])
  expect(orderFor('b', chunks)).toEqual([9, 10, 5, 6, 11, 3, 4])
  expect(orderFor('c', chunks)).toEqual([5, 6, 11, 3, 4, 9, 10])
})

test('without shared prefixes the order is the plan’s', () => {
  expect(orderFor('a', [chunk(0), chunk(1, { pool: 'b' }), chunk(2)])).toEqual([0, 1, 2])
})
