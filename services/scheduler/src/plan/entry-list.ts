import { setImmediate as breathe } from 'node:timers/promises'
import { type PlanEntry, planEntryBytes, readPlanEntry, writePlanEntry } from '@forebay/plan'
import { orderByPrefix } from './prefix-order.ts'
import { prefixCuts } from './prompt-text.ts'

const sliceEntries = 16_384

/** Plan entries in growing binary buffers: 36 bytes a request while planning. */
export class EntryList {
  #entries = Buffer.alloc(1024 * planEntryBytes)
  #levels = new Uint32Array(1024 * prefixCuts.length)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Adds a request in file order; its prefix group comes with the plan. Throws RangeError when a field is over the plan's limits. */
  add(entry: PlanEntry, prefixes: Uint32Array): void {
    if ((this.#count + 1) * planEntryBytes > this.#entries.length) this.#grow()
    writePlanEntry(this.#entries, this.#count, entry)
    this.#levels.set(prefixes, this.#count * prefixCuts.length)
    this.#count++
  }

  /** The plan: the entries ordered by prefix, with their groups. */
  async toPlan(): Promise<Buffer> {
    const { order, groups } = await orderByPrefix(this.#levels, this.#count)
    const plan = Buffer.alloc(this.#count * planEntryBytes)
    for (let position = 0; position < this.#count; position++) {
      if (position % sliceEntries === 0) await breathe()
      const index = order[position] ?? 0
      const entry = readPlanEntry(this.#entries, index)
      entry.prefixGroup = groups[index] ?? 0
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
