import { setImmediate as breathe } from 'node:timers/promises'
import { countUp } from './identical-lines.ts'
import type { PrefixTable } from './prefix-table.ts'
import { prefixCuts } from './prompt-text.ts'

/** In which order requests run, and what they share. */
export interface PrefixOrder {
  order: Uint32Array
  /** The prefix group of each request, 0: none. */
  groups: Uint32Array
  /** How many levels of its prompt each request shares with another. */
  depth: Uint8Array
}

/**
 * Orders requests as the leaves of the tree of their shared prefixes: those that share a long prefix are neighbours
 * within those that share a shorter one. Branches come in the order of their first request, requests of a branch in file
 * order. A request's group is its deepest branch. Linear in time; stable.
 *
 * Afterwards `table` holds, for each level that a request shares, the first request of the branch instead of the hash.
 */
export async function orderByPrefix(table: PrefixTable): Promise<PrefixOrder> {
  const { count } = table
  const depth = new Uint8Array(count)
  const groups = new Uint32Array(count)
  const keys = new Uint32Array(count)
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(2, count * 2))))
  let deepest = 0
  while (deepest < prefixCuts.length && (await shareLevel({ table, level: deepest, depth, groups, keys, slots })))
    deepest++
  let order = countUp(count)
  for (let level = deepest - 1; level >= 0; level--) {
    await breathe()
    for (let i = 0; i < count; i++) keys[i] = (depth[i] ?? 0) > level ? table.get(i, level) : i
    order = countingSort(order, keys)
  }
  return { order, groups, depth }
}

/** Finds who shares a prefix at a level, among those that share all shorter ones; true when any do. */
async function shareLevel(options: {
  table: PrefixTable
  level: number
  depth: Uint8Array
  groups: Uint32Array
  keys: Uint32Array
  slots: Uint32Array
}): Promise<boolean> {
  const { table, level, depth, groups, keys, slots } = options
  let shared = false
  slots.fill(0)
  for (let i = 0; i < table.count; i++) {
    if ((i & 0x3fff) === 0x3fff) await breathe()
    const hash = depth[i] === level ? table.get(i, level) : 0
    if (hash === 0) continue
    const leader = findOrAdd(slots, table, level, hash, i)
    if (leader === i) continue
    shared = true
    for (const member of [leader, i]) {
      depth[member] = level + 1
      groups[member] = hash
      keys[member] = leader
    }
  }
  if (shared) for (let i = 0; i < table.count; i++) if (depth[i] === level + 1) table.set(i, level, keys[i] ?? 0)
  return shared
}

/** The first request with this hash at this level, which is `index` itself when there was none. */
function findOrAdd(slots: Uint32Array, table: PrefixTable, level: number, hash: number, index: number): number {
  const mask = slots.length - 1
  for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
    const position = slots[slot] ?? 0
    if (position === 0) {
      slots[slot] = index + 1
      return index
    }
    if (table.get(position - 1, level) === hash) return position - 1
  }
}

/** A stable sort of `order` by `keys`, which are below `order.length`. */
export function countingSort(order: Uint32Array, keys: Uint32Array): Uint32Array<ArrayBuffer> {
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
