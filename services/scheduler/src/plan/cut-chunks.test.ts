import { planEntryBytes, writePlanEntry } from '@forebay/plan'
import { expect, it } from 'vitest'
import { cutChunks } from './cut-chunks.ts'

/** A plan of runs: so many requests of 100 tokens in the prefix group given, one run after the other. */
function planOf(...runs: readonly (readonly [prefixGroup: number, requests: number])[]): Buffer {
  const groups = runs.flatMap(([prefixGroup, requests]) => Array.from({ length: requests }, () => prefixGroup))
  const plan = Buffer.alloc(groups.length * planEntryBytes)
  for (const [i, prefixGroup] of groups.entries()) {
    writePlanEntry(plan, i, { offset: i * 10, length: 9, line: i + 1, estTokens: 100, prefixGroup, flags: 0 })
  }
  return plan
}
const limits = { chunkRequests: 10, chunkTokens: 1_000_000 }

it('keeps a prefix group in one chunk where it fits, leaving a chunk that is half full', async () => {
  const { continues, entries } = await cutChunks(planOf([1, 7], [2, 7], [3, 3], [4, 4]), limits)
  expect(entries).toEqual([7, 10, 4])
  expect(continues).toEqual([false, false, false])
})

it('fills a chunk that is less than half full, and cuts a group that no chunk holds', async () => {
  expect((await cutChunks(planOf([1, 3], [2, 9]), limits)).entries).toEqual([10, 2])
  const large = await cutChunks(planOf([1, 7], [2, 23]), limits)
  expect(large.entries).toEqual([10, 10, 10])
  expect(large.continues).toEqual([false, true, true])
})

it('counts a group’s tokens too, and fills chunks where prompts share nothing', async () => {
  expect((await cutChunks(planOf([1, 6], [2, 6]), { chunkRequests: 64, chunkTokens: 1_000 })).entries).toEqual([6, 6])
  expect((await cutChunks(planOf([0, 25]), limits)).entries).toEqual([10, 10, 5])
})
