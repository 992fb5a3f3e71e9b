import { type PlanEntry, planEntryBytes, readPlanEntry, writePlanEntry } from '@forebay/plan'
import { orderByPrefix } from './prefix-order.ts'
import { prefixCuts } from './prompt-text.ts'

/** Plan entries in growing binary buffers: 36 bytes a request while planning. */
export class EntryList {
  #entries = Buffer.alloc(1024 * planEntryBytes)
  #levels = new Uint32Array(1024 * prefixCuts.length)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Adds a request in file order. Throws RangeError when a field is over the plan's limits. */
  add(entry: Omit<PlanEntry, 'prefixGroup' | 'flags'>, prefixes: Uint32Array): void {
    if ((this.#count + 1) * planEntryBytes > this.#entries.length) this.#grow()
    writePlanEntry(this.#entries, this.#count, { ...entry, prefixGroup: 0, flags: 0 })
    this.#levels.set(prefixes, this.#count * prefixCuts.length)
    this.#count++
  }

  /** The plan: the entries ordered by prefix, with their groups. */
  async toPlan(): Promise<Buffer> {
    const { order, groups } = await orderByPrefix(this.#levels, this.#count)
    const plan = Buffer.alloc(this.#count * planEntryBytes)
    order.forEach((index, position) => {
      writePlanEntry(plan, position, { ...readPlanEntry(this.#entries, index), prefixGroup: groups[index] ?? 0 })
    })
    return plan
  }

  #grow(): void {
    this.#entries = Buffer.concat([this.#entries], this.#entries.length * 2)
    const levels = new Uint32Array(this.#levels.length * 2)
    levels.set(this.#levels)
    this.#levels = levels
  }
}
