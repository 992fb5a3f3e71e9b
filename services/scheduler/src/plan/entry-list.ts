import { setImmediate as breathe } from 'node:timers/promises'
import { flagSameAsPrevious, type PlanEntry, planEntryBytes, readPlanEntry, writePlanEntry } from '@forebay/plan'
import { IdenticalLines } from './identical-lines.ts'
import { countingSort, orderByPrefix } from './prefix-order.ts'
import { prefixCuts } from './prompt-text.ts'

const sliceEntries = 16_384

/** Plan entries in growing binary buffers: 36 to 44 bytes a request while planning. */
export class EntryList {
  #entries = Buffer.alloc(1024 * planEntryBytes)
  #levels = new Uint32Array(1024 * prefixCuts.length)
  readonly #identical = new IdenticalLines()
  #count = 0

  get count(): number {
    return this.#count
  }

  /**
   * Adds a request in file order; its prefix group comes with the plan. `digest` is that of its body, if a request with
   * the same body may share its answer. Throws RangeError when a field is over the plan's limits.
   */
  add(entry: PlanEntry, prefixes: Uint32Array, digest: Buffer | undefined): void {
    if ((this.#count + 1) * planEntryBytes > this.#entries.length) this.#grow()
    writePlanEntry(this.#entries, this.#count, entry)
    this.#levels.set(prefixes, this.#count * prefixCuts.length)
    if (digest) this.#identical.note(this.#count, digest)
    this.#count++
  }

  /**
   * The plan: the entries ordered by prefix, with their groups; those that are the same as another follow it at once,
   * flagged.
   */
  async toPlan(): Promise<Buffer> {
    const leaders = await this.#identical.leaders(this.#count)
    const { order: byPrefix, groups } = await orderByPrefix(this.#levels, this.#count)
    const order = leaders ? countingSort(byPrefix, placesOf(byPrefix, leaders)) : byPrefix
    const plan = Buffer.alloc(this.#count * planEntryBytes)
    for (let position = 0; position < this.#count; position++) {
      if (position % sliceEntries === 0) await breathe()
      const index = order[position] ?? 0
      const entry = readPlanEntry(this.#entries, index)
      entry.prefixGroup = groups[index] ?? 0
      if (leaders && leaders[index] !== index) entry.flags |= flagSameAsPrevious
      writePlanEntry(plan, position, entry)
    }
    return plan
  }

  #grow(): void {
    this.#entries = Buffer.concat([this.#entries], this.#entries.length * 2)
    const levels = new Uint32Array(this.#levels.length * 2)
    levels.set(this.#levels)
    this.#levels = levels
  }
}

/** Where in the order each request's leader stands. */
function placesOf(order: Uint32Array, leaders: Uint32Array): Uint32Array {
  const places = new Uint32Array(order.length)
  for (let position = 0; position < order.length; position++) places[order[position] ?? 0] = position
  return leaders.map((leader) => places[leader] ?? 0)
}
