import { setImmediate as breathe } from 'node:timers/promises'
import { flagSameAsPrevious, type PlanEntry, planEntryBytes, readPlanEntry, writePlanEntry } from '@forebay/plan'
import { estimatePromptTokens } from '@forebay/tokens'
import { expectedShare } from './expected-share.ts'
import { countUp, IdenticalLines } from './identical-lines.ts'
import { countingSort, orderByPrefix, type PrefixOrder } from './prefix-order.ts'
import { PrefixTable } from './prefix-table.ts'

const sliceEntries = 16_384

/** The requests of a batch as they are to run, and what their order is expected to bring. */
export interface OrderedEntries {
  plan: Buffer
  /** Requests that get the answer of another. */
  identical: number
  /** Shares of the prompt tokens that a prefix cache is expected to find: run as planned, and run in file order. */
  expectedShare: number
  fileOrderShare: number
}

/** Plan entries in growing binary buffers: some 40 bytes a request while planning. */
export class EntryList {
  readonly #prefixes = new PrefixTable()
  readonly #identical = new IdenticalLines()
  #entries = Buffer.alloc(1024 * planEntryBytes)
  #count = 0

  get count(): number {
    return this.#count
  }

  /**
   * Adds a request in file order; its prefix group comes with the plan. `digest` is that of its body, if a request with
   * the same body may share its answer. Throws RangeError when a field is over the plan's limits.
   */
  add(entry: PlanEntry, prefixes: Uint32Array, digest: Buffer | undefined): void {
    if ((this.#count + 1) * planEntryBytes > this.#entries.length) {
      this.#entries = Buffer.concat([this.#entries], this.#entries.length * 2)
    }
    writePlanEntry(this.#entries, this.#count, entry)
    this.#prefixes.add(prefixes)
    if (digest) this.#identical.note(this.#count, digest)
    this.#count++
  }

  /**
   * Orders the entries by prefix, with their groups; those that are the same as another follow it at once, flagged.
   * `cacheTokens` is how much the engine's KV cache holds. Once only: it uses what was added up.
   */
  async toPlan(cacheTokens: number): Promise<OrderedEntries> {
    const leaders = await this.#identical.leaders(this.#count)
    const prefixes = await orderByPrefix(this.#prefixes)
    const order = leaders ? countingSort(prefixes.order, placesOf(prefixes.order, leaders)) : prefixes.order
    const plan = Buffer.alloc(this.#count * planEntryBytes)
    let identical = 0
    for (let position = 0; position < this.#count; position++) {
      if (position % sliceEntries === 0) await breathe()
      const index = order[position] ?? 0
      const entry = readPlanEntry(this.#entries, index)
      entry.prefixGroup = prefixes.groups[index] ?? 0
      if (leaders && leaders[index] !== index) {
        entry.flags |= flagSameAsPrevious
        identical++
      }
      writePlanEntry(plan, position, entry)
    }
    return { plan, identical, ...(await this.#shares({ ...prefixes, order }, leaders, cacheTokens)) }
  }

  async #shares({ depth, order }: PrefixOrder, leaders: Uint32Array | undefined, cacheTokens: number) {
    if (depth.every((levels) => levels === 0)) return { expectedShare: 0, fileOrderShare: 0 }
    const requestOf = (index: number) => {
      const { estTokens, length } = readPlanEntry(this.#entries, index)
      const runs = leaders === undefined || leaders[index] === index
      return { runs, promptTokens: Math.min(estimatePromptTokens(length), estTokens), tokens: estTokens }
    }
    const branchOf = (index: number, level: number) => this.#prefixes.get(index, level)
    const shareIn = (sequence: Uint32Array) =>
      expectedShare({ order: sequence, depth, branchOf, requestOf, cacheTokens })
    return { expectedShare: await shareIn(order), fileOrderShare: await shareIn(countUp(this.#count)) }
  }
}

/** Where in the order each request's leader stands. */
function placesOf(order: Uint32Array, leaders: Uint32Array): Uint32Array {
  const places = new Uint32Array(order.length)
  for (let position = 0; position < order.length; position++) places[order[position] ?? 0] = position
  return leaders.map((leader) => places[leader] ?? 0)
}
