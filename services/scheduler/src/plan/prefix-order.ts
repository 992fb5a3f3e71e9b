import { setImmediate as breathe } from 'node:timers/promises'
import { countUp } from './identical-lines.ts'
import { prefixCuts } from './prompt-text.ts'

/** In which order requests run, and which prefix group each is in (0: none). */
export interface PrefixOrder {
  order: Uint32Array
  groups: Uint32Array
}

/**
 * Groups requests by the longest prefix that at least two share, and orders them so that those who share a long prefix
 * are neighbours within those who share a shorter one; groups come in the order of their first request, requests of a
 * group in file order. `levels` holds each request's prefix hashes, shortest first. Linear in time; stable.
 */
export async function orderByPrefix(levels: Uint32Array, count: number): Promise<PrefixOrder> {
  const depth = new Uint8Array(count)
  const groups = new Uint32Array(count)
  const first = countUp(count)
  const root = first.slice()
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(2, count * 2))))
  for (let level = 0; level < prefixCuts.length; level++) {
    slots.fill(0)
    for (let i = 0; i < count; i++) {
      if ((i & 0x3fff) === 0x3fff) await breathe()
      const hash = levels[i * prefixCuts.length + level] ?? 0
      if (depth[i] !== level || hash === 0) continue
      const leader = findOrAdd(slots, levels, level, hash, i)
      if (leader === i) continue
      for (const member of [leader, i]) {
        depth[member] = level + 1
        groups[member] = hash
        first[member] = leader
        if (level === 0) root[member] = leader
      }
    }
  }
  await breathe()
  const byFirst = countingSort(
    Uint32Array.from({ length: count }, (_, i) => i),
    first,
  )
  await breathe()
  return { order: countingSort(byFirst, root), groups }
}

/** The first request with this hash at this level, which is `index` itself when there was none. */
function findOrAdd(slots: Uint32Array, levels: Uint32Array, level: number, hash: number, index: number): number {
  const mask = slots.length - 1
  for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
    const position = slots[slot] ?? 0
    if (position === 0) {
      slots[slot] = index + 1
      return index
    }
    if (levels[(position - 1) * prefixCuts.length + level] === hash) return position - 1
  }
}

/** A stable sort of `order` by `keys`, which are below `order.length`. */
export function countingSort(order: Uint32Array, keys: Uint32Array): Uint32Array {
  const starts = new Uint32Array(order.length + 1)
  for (const key of keys) starts[key + 1] = (starts[key + 1] ?? 0) + 1
  for (let i = 1; i < starts.length; i++) starts[i] = (starts[i] ?? 0) + (starts[i - 1] ?? 0)
  const sorted = new Uint32Array(order.length)
  for (const index of order) {
    const key = keys[index] ?? 0
    const at = starts[key] ?? 0
    sorted[at] = index
    starts[key] = at + 1
  }
  return sorted
}
