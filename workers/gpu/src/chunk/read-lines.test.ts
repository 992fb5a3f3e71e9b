import type { PlanEntry } from '@forebay/plan'
import { describe, expect, it } from 'vitest'
import { groupsOf, readLines } from './read-lines.ts'

const text = Array.from({ length: 20_000 }, (_, i) => `line ${String(i).padStart(10, '.')}`)
const file = Buffer.from(text.join('\n'))
const lineBytes = 15
const entry = (line: number): PlanEntry => ({
  offset: line * (lineBytes + 1),
  length: lineBytes,
  line: line + 1,
  estTokens: 1,
  prefixGroup: 0,
  flags: 0,
})

function watched(answer: (start: number, end: number) => Buffer | undefined = (s, e) => file.subarray(s, e)) {
  const reads: [number, number][] = []
  let open = 0
  let most = 0
  const read = async (start: number, end: number) => {
    reads.push([start, end])
    most = Math.max(most, ++open)
    await new Promise((resolve) => setImmediate(resolve))
    open--
    return answer(start, end)
  }
  return { read, reads, most: () => most }
}

describe('readLines', () => {
  it('gives the lines in the order of the plan, read in the order of the file, neighbours at once', async () => {
    const { read, reads } = watched()
    const wanted = Array.from({ length: 64 }, (_, i) => (i * 37) % 64)
    const lines = await Promise.all(readLines(wanted.map(entry), read))
    expect(lines.map(String)).toEqual(wanted.map((line) => text[line]))
    expect(reads).toEqual([[0, 64 * (lineBytes + 1) - 1]])
  })

  it('reads lines far apart several at a time, eight at most, those wanted first before the others', async () => {
    const { read, reads, most } = watched()
    const wanted = [15_000, 0, 10_000, 5_000, 15_001, 1]
    const lines = await Promise.all(readLines(wanted.map(entry), read))
    expect(lines.map(String)).toEqual(wanted.map((line) => text[line]))
    expect(reads.map(([start]) => start / (lineBytes + 1))).toEqual([15_000, 0, 10_000, 5_000])
    expect(most()).toBe(4)
    const many = Array.from({ length: 40 }, (_, i): PlanEntry => ({ ...entry(0), offset: i * 100_000 }))
    const other = watched(() => Buffer.alloc(lineBytes))
    await Promise.all(readLines(many, other.read))
    expect([other.reads.length, other.most()]).toEqual([40, 8])
  })

  it('reads the same bytes for two entries once, and fails only the lines of a range that fails', async () => {
    const { read, reads } = watched((start, end) => {
      if (start > 0) throw new Error('no such range')
      return file.subarray(start, end)
    })
    const [first, same, lost] = await Promise.allSettled(readLines([entry(0), entry(0), entry(9_000)], read))
    expect([first, same]).toMatchObject([
      { value: file.subarray(0, lineBytes) },
      { value: file.subarray(0, lineBytes) },
    ])
    expect(lost?.status).toBe('rejected')
    expect(reads).toHaveLength(2)
  })
})

describe('groupsOf', () => {
  it('keeps the order, and bounds what is held before it runs', () => {
    const sizes = [4, 4, 1, 20, 1].map((mib) => mib * 1024 * 1024)
    const groups = groupsOf(sizes.map((length, i): PlanEntry => ({ ...entry(i), length })))
    expect(groups.map((group) => group.map(({ line }) => line))).toEqual([[1, 2], [3], [4], [5]])
  })
})
