import { planEntryBytes } from '@forebay/plan'
import { expect, it } from 'vitest'
import { readEntries } from './read-entries.ts'

const plans: Record<string, Buffer> = { a: planOf(10_000, 1), b: planOf(300, 2) }

function planOf(entries: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length: entries * planEntryBytes }, (_, i) => (i * 7 + seed) % 251))
}

it('gives each range the bytes of its own entries, whatever the order, and reads what lies together at once', async () => {
  const reads: string[] = []
  const store = {
    readRange: async (key: string, start: number, end: number) => {
      reads.push(key)
      return Buffer.from(plans[key]?.subarray(start, end) ?? [])
    },
  }
  const ranges = [
    { planKey: 'a', firstEntry: 128, entries: 64 },
    { planKey: 'b', firstEntry: 0, entries: 64 },
    { planKey: 'a', firstEntry: 0, entries: 64 },
    { planKey: 'a', firstEntry: 9_000, entries: 1_000 },
    { planKey: 'a', firstEntry: 64, entries: 64 },
    { planKey: 'b', firstEntry: 200, entries: 100 },
  ]
  const found = await readEntries(store, ranges)
  expect(found.map(([range]) => range)).toEqual(ranges)
  for (const [range, bytes] of found) {
    const from = range.firstEntry * planEntryBytes
    const expected = plans[range.planKey]?.subarray(from, from + range.entries * planEntryBytes)
    expect(expected?.equals(bytes)).toBe(true)
  }
  expect(reads).toEqual(['a', 'a', 'b'])
})
