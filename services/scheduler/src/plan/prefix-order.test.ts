import { expect, test } from 'vitest'
import { expectedShare } from './expected-share.ts'
import { orderByPrefix } from './prefix-order.ts'
import { PrefixTable } from './prefix-table.ts'
import { hashPrefixes, prefixCuts } from './prompt-text.ts'

async function ordered(prompts: readonly string[]) {
  const table = new PrefixTable()
  const hashes = new Uint32Array(prefixCuts.length)
  for (const prompt of prompts) {
    hashPrefixes({ prompt }, '/v1/completions', hashes)
    table.add(hashes)
  }
  return { table, ...(await orderByPrefix(table)) }
}

/** A prompt of pieces, each long enough to be a prefix of its own. */
const prompt = (...pieces: string[]) => pieces.map((piece) => piece.padEnd(1024, '.')).join('')

test('requests run as the leaves of the tree of their prefixes, branches in the order of their first request', async () => {
  const prompts = [
    prompt('a', 'x', '1'),
    prompt('b', 'y', '1'),
    prompt('a', 'only', '1'),
    prompt('a', 'z', '1'),
    prompt('a', 'x', '2'),
    'short',
    prompt('b', 'y', '2'),
    prompt('a', 'z', '2'),
  ]
  const { depth, groups, order } = await ordered(prompts)
  expect([...order]).toEqual([0, 4, 2, 3, 7, 1, 6, 5])
  expect(groups[0]).toBe(groups[4])
  expect(groups[3]).toBe(groups[7])
  expect(new Set([0, 1, 2, 3, 5].map((i) => groups[i])).size).toBe(5)
  expect(groups[5]).toBe(0)
  expect(prefixCuts[(depth[0] ?? 0) - 1]).toBe(2048)
  expect(prefixCuts[(depth[2] ?? 0) - 1]).toBe(1024)
})

test('the same beginnings in a random file come out as if they had been sorted', async () => {
  const names = ['p', 'q', 'r', 's']
  let state = 7
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return names[state >>> 30] ?? ''
  }
  const prompts = Array.from({ length: 500 }, (_, i) => prompt(next(), next(), `${i}`))
  const { order } = await ordered(prompts)
  const branches = [...order].map((i) => prompts[i]?.slice(0, 2048) ?? '')
  const runs = branches.filter((branch, i) => branch !== branches[i - 1])
  expect(runs.length).toBe(new Set(branches).size)
  const roots = runs.map((run) => run[0]).filter((root, i, all) => root !== all[i - 1])
  expect(roots.length).toBe(new Set(roots).size)
})

async function shareOf(prompts: readonly string[], cacheTokens: number, inFileOrder = false) {
  const { depth, order, table } = await ordered(prompts)
  return expectedShare({
    order: inFileOrder ? order.toSorted() : order,
    depth,
    branchOf: (index, level) => table.get(index, level),
    requestOf: (index) => ({ runs: true, promptTokens: (prompts[index]?.length ?? 0) / 4, tokens: 600 }),
    cacheTokens,
  })
}

test('the expected share is what all but the first of each branch find', async () => {
  const prompts = Array.from({ length: 10 }, (_, i) => prompt('a', `${i}`))
  expect(await shareOf(prompts, 1e6)).toBeCloseTo((9 * 256) / (10 * 512), 5)
  expect(await shareOf(['x', 'y'], 1e6)).toBe(0)
  expect(await shareOf([], 1e6)).toBe(0)
})

test('a cache too small for a shuffled file is enough for the same requests in order: that is the gain', async () => {
  const prompts = Array.from({ length: 400 }, (_, i) => prompt(`${i % 40}`, `${i}`))
  expect(await shareOf(prompts, 10_000, true)).toBe(0)
  expect(await shareOf(prompts, 10_000)).toBeCloseTo(0.45, 5)
  expect(await shareOf(prompts, 1e6, true)).toBeCloseTo(0.45, 5)
})
