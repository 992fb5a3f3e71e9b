import { type PlanEntry, planEntryBytes } from '@forebay/plan'
import { type ChunkColumns, cutChunks } from './cut-chunks.ts'
import { EntryList, type OrderedEntries } from './entry-list.ts'

/** What of a batch one model answers. */
export interface ModelPart {
  model: string
  requests: number
  estTokens: number
}

/** A batch's plan, model by model, and its chunks: each is of one model. */
export interface ModelPlan extends OrderedEntries {
  parts: ModelPart[]
  chunks: ChunkColumns & { model: string[] }
}

/** The entries of a batch's requests, apart by the model that answers: most batches have one. */
export class ModelEntries {
  readonly #parts = new Map<string, { entries: EntryList; estTokens: number }>()

  /** Requests added. */
  get count(): number {
    return [...this.#parts.values()].reduce((sum, { entries }) => sum + entries.count, 0)
  }

  /** Their estimated tokens. */
  get estTokens(): number {
    return [...this.#parts.values()].reduce((sum, { estTokens }) => sum + estTokens, 0)
  }

  /** Adds a request that `model` answers, as `EntryList.add` does. */
  add(model: string, entry: PlanEntry, prefixes: Uint32Array, digest: Buffer | undefined): void {
    const part = this.#parts.get(model) ?? { entries: new EntryList(), estTokens: 0 }
    this.#parts.set(model, part)
    part.entries.add(entry, prefixes, digest)
    part.estTokens += entry.estTokens
  }

  /** Orders each model's entries, one model after the other, and cuts them into chunks. Once only, as `EntryList.toPlan`. */
  async toPlan(rules: {
    cacheTokens: (model: string) => number
    chunkRequests: number
    chunkTokens: number
  }): Promise<ModelPlan> {
    const all = this.estTokens
    const plans: Buffer[] = []
    const whole: ModelPlan = {
      ...{ plan: Buffer.alloc(0), identical: 0, expectedShare: 0, fileOrderShare: 0, parts: [] },
      chunks: { firstEntry: [], entries: [], estTokens: [], continues: [], model: [] },
    }
    let first = 0
    for (const [model, { entries, estTokens }] of this.#parts) {
      const ordered = await entries.toPlan(rules.cacheTokens(model))
      const chunks = await cutChunks(ordered.plan, rules)
      for (const [i, at] of chunks.firstEntry.entries()) {
        whole.chunks.firstEntry.push(first + at)
        whole.chunks.entries.push(chunks.entries[i] ?? 0)
        whole.chunks.estTokens.push(chunks.estTokens[i] ?? 0)
        whole.chunks.continues.push(chunks.continues[i] ?? false)
        whole.chunks.model.push(model)
      }
      const weight = this.#parts.size === 1 ? 1 : estTokens / Math.max(1, all)
      whole.identical += ordered.identical
      whole.expectedShare += ordered.expectedShare * weight
      whole.fileOrderShare += ordered.fileOrderShare * weight
      whole.parts.push({ model, requests: entries.count, estTokens })
      plans.push(ordered.plan)
      first += ordered.plan.length / planEntryBytes
    }
    const [only] = plans
    whole.plan = plans.length === 1 && only ? only : Buffer.concat(plans)
    return whole
  }
}
