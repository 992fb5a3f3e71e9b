import { ForebayError } from '@forebay/kernel'
import { KvBlocks } from './kv-blocks.ts'
import type { EngineLimits, StepProfile } from './profile.ts'
import { type EngineRequest, type EngineSequence, Sequence } from './sequence.ts'
import { compareQueued, type SchedulingPolicy, WaitingQueue } from './waiting-queue.ts'

export interface EngineModelOptions extends Partial<EngineLimits> {
  /** Default `fcfs`, as vLLM's. */
  readonly schedulingPolicy?: SchedulingPolicy
  /** Default true. */
  readonly prefixCaching?: boolean
}

/** What one step did. All token events become visible `durationMs` after the step began. */
export interface StepResult<R extends EngineRequest = EngineRequest> {
  /** 0 when there was nothing to run. */
  readonly durationMs: number
  readonly prefillTokens: number
  /** Sequences that gained one token; `generated` says which. */
  readonly emitted: readonly EngineSequence<R>[]
  /** Those of `emitted` that are complete; their seat and KV are free already. */
  readonly finished: readonly EngineSequence<R>[]
  readonly preempted: readonly EngineSequence<R>[]
}

/** Totals since the model was made. */
export interface EngineCounters {
  steps: number
  preemptions: number
  /** Prompt tokens looked up in the prefix cache, and those found. */
  prefixCacheQueries: number
  prefixCacheHits: number
}

/**
 * vLLM's V1 scheduler with a cost model in place of the GPU: no I/O, no clock, one call per step.
 *
 * Trade: it counts tokens instead of making them, so a simulation can run many thousand steps a second; in return it
 * caches prompt blocks only (vLLM also caches generated ones) and knows nothing of speculative decoding or LoRA.
 */
export class EngineModel<R extends EngineRequest = EngineRequest> {
  readonly profile: StepProfile
  readonly limits: EngineLimits
  readonly policy: SchedulingPolicy
  readonly counters: EngineCounters = { steps: 0, preemptions: 0, prefixCacheQueries: 0, prefixCacheHits: 0 }
  readonly #caching: boolean
  readonly #blocks: KvBlocks
  readonly #waiting: WaitingQueue<Sequence<R>>
  readonly #byId = new Map<string, Sequence<R>>()
  #running: Sequence<R>[] = []
  #arrivals = 0

  /** Throws `config_invalid` when a request of `maxModelLen` tokens could never fit into the KV memory. */
  constructor(profile: StepProfile, options: EngineModelOptions = {}) {
    this.profile = profile
    this.limits = resolveLimits(profile.limits, options)
    this.policy = options.schedulingPolicy ?? 'fcfs'
    this.#caching = options.prefixCaching ?? true
    this.#blocks = new KvBlocks(this.limits.numGpuBlocks)
    this.#waiting = new WaitingQueue(this.policy)
  }

  get running(): number {
    return this.#running.length
  }

  get waiting(): number {
    return this.#byId.size - this.#running.length
  }

  /** Share of KV blocks in use, 0 to 1. */
  get kvUsage(): number {
    return this.#blocks.usage
  }

  /** Queues a request. Throws `context_length_exceeded` past `maxModelLen`, `conflict` when the id is in the engine. */
  add(request: R): EngineSequence<R> {
    const { id, promptTokens, outputTokens } = request
    if (promptTokens < 1 || outputTokens < 1) {
      throw new ForebayError('invalid_value', `Request ${id} needs at least 1 prompt token and 1 output token.`)
    }
    if (promptTokens + outputTokens > this.limits.maxModelLen) {
      throw new ForebayError(
        'context_length_exceeded',
        `Request ${id} wants ${promptTokens} + ${outputTokens} tokens; the engine's limit is ${this.limits.maxModelLen}.`,
      )
    }
    if (this.#byId.has(id)) throw new ForebayError('conflict', `Request ${id} is in the engine already.`)
    const seq = new Sequence(request, this.#arrivals++)
    this.#byId.set(id, seq)
    this.#waiting.push(seq)
    return seq
  }

  /** Drops a request and frees its seat and KV at once; false when it is not in the engine. */
  abort(id: string): boolean {
    const seq = this.#byId.get(id)
    if (!seq) return false
    if (seq.running) this.#running.splice(this.#running.indexOf(seq), 1)
    this.#leave(seq)
    return true
  }

  /** Schedules and runs one step. */
  step(): StepResult<R> {
    const preempted: Sequence<R>[] = []
    const budget = this.#scheduleRunning(preempted)
    // As in vLLM: what was just thrown out must not be let in again by the same step.
    if (preempted.length === 0) this.#admit(budget)
    return this.#run(preempted)
  }

  /**
   * Running sequences first, in order of admission. A prefill is left unfinished only when the budget ran out, and
   * then nothing is admitted behind it; so decodes always stand before the one unfinished prefill.
   */
  #scheduleRunning(preempted: Sequence<R>[]): number {
    let budget = this.limits.maxNumBatchedTokens
    for (let i = 0; i < this.#running.length && budget > 0; i++) {
      const seq = this.#running[i]
      if (!seq) break
      const count = Math.min(seq.tokens - seq.computed, budget)
      while (seq.running && !this.#reserve(seq, seq.computed + count)) {
        const at = this.#victimIndex()
        const victim = this.#running[at]
        if (!victim) break
        this.#running.splice(at, 1)
        if (at <= i) i--
        budget += victim.scheduled
        this.#preempt(victim)
        preempted.push(victim)
      }
      if (!seq.running) continue
      seq.scheduled = count
      budget -= count
    }
    return budget
  }

  #admit(budgetLeft: number): void {
    const { blockSize, maxNumSeqs } = this.limits
    let budget = budgetLeft
    while (budget > 0 && this.#running.length < maxNumSeqs) {
      const seq = this.#waiting.peek()
      if (!seq) return
      const hashes = seq.request.blockHashes ?? []
      // At least one token is always computed: its logits are what the first output token is sampled from.
      const hits = this.#caching ? this.#blocks.match(hashes, Math.floor((seq.tokens - 1) / blockSize)) : 0
      const needed = Math.ceil(seq.tokens / blockSize) - hits + this.#blocks.idleAmong(hashes, hits)
      // vLLM's scheduler_reserve_full_isl: let in only when the whole prompt fits, though it is taken chunk by chunk.
      if (needed > this.#blocks.free) return
      this.#waiting.pop()
      this.#takeHits(seq, hashes, hits)
      const count = Math.min(seq.tokens - seq.computed, budget)
      this.#reserve(seq, seq.computed + count)
      this.#offer(seq, seq.computed + count)
      seq.scheduled = count
      seq.running = true
      this.#running.push(seq)
      budget -= count
    }
  }

  #run(preempted: Sequence<R>[]): StepResult<R> {
    const { cost } = this.profile
    const emitted: Sequence<R>[] = []
    const finished: Sequence<R>[] = []
    let seqs = 0
    let prefillTokens = 0
    let kvTokens = 0
    let kept = 0
    for (const seq of this.#running) {
      const count = seq.scheduled
      if (count > 0) {
        const tokens = seq.tokens
        if (seq.generated === 0 || tokens - seq.computed > 1) prefillTokens += count
        seq.scheduled = 0
        seq.computed += count
        kvTokens += seq.computed
        seqs++
        if (seq.offered < (seq.request.blockHashes?.length ?? 0)) this.#offer(seq, seq.computed)
        if (seq.computed === tokens) {
          seq.generated++
          emitted.push(seq)
          if (seq.generated >= seq.request.outputTokens) {
            finished.push(seq)
            this.#leave(seq)
            continue
          }
        }
      }
      this.#running[kept++] = seq
    }
    this.#running.length = kept
    if (seqs > 0) this.counters.steps++
    const durationMs =
      seqs === 0
        ? 0
        : cost.baseMs + seqs * cost.perSeqMs + prefillTokens * cost.perPrefillTokenMs + kvTokens * cost.perKvTokenMs
    return { durationMs, prefillTokens, emitted, finished, preempted }
  }

  #reserve(seq: Sequence<R>, tokens: number): boolean {
    const missing = Math.ceil(tokens / this.limits.blockSize) - seq.held.length - seq.anonymous
    if (missing <= 0) return true
    if (!this.#blocks.allocate(missing)) return false
    seq.anonymous += missing
    return true
  }

  #takeHits(seq: Sequence<R>, hashes: readonly number[], hits: number): void {
    for (let i = 0; i < hits; i++) {
      const hash = hashes[i]
      if (hash === undefined) break
      this.#blocks.hold(hash)
      seq.held.push(hash)
    }
    seq.offered = hits
    seq.computed = hits * this.limits.blockSize
    if (seq.cachedTokens >= 0) return
    seq.cachedTokens = seq.computed
    this.counters.prefixCacheQueries += seq.request.promptTokens
    this.counters.prefixCacheHits += seq.computed
  }

  /** Puts the prompt blocks that lie within the first `tokens` tokens into the prefix cache. */
  #offer(seq: Sequence<R>, tokens: number): void {
    const hashes = seq.request.blockHashes
    if (!hashes || !this.#caching) return
    const full = Math.floor(Math.min(tokens, seq.request.promptTokens) / this.limits.blockSize)
    for (; seq.offered < full; seq.offered++) {
      const hash = hashes[seq.offered]
      if (hash === undefined) return
      if (!this.#blocks.publish(hash)) continue
      seq.held.push(hash)
      seq.anonymous--
    }
  }

  #victimIndex(): number {
    let worst = this.#running.length - 1
    if (this.policy === 'fcfs') return worst
    for (let i = worst - 1; i >= 0; i--) {
      const a = this.#running[i]
      const b = this.#running[worst]
      if (a && b && compareQueued('priority', a, b) > 0) worst = i
    }
    return worst
  }

  #preempt(seq: Sequence<R>): void {
    this.#free(seq)
    seq.preemptions++
    this.counters.preemptions++
    this.#waiting.push(seq)
  }

  #leave(seq: Sequence<R>): void {
    this.#free(seq)
    seq.live = false
    this.#byId.delete(seq.request.id)
  }

  #free(seq: Sequence<R>): void {
    this.#blocks.release(seq.held, seq.anonymous)
    seq.held = []
    seq.anonymous = 0
    seq.offered = 0
    seq.computed = 0
    seq.scheduled = 0
    seq.running = false
  }
}

/** The profile's limits with overrides. A profile's own context limit gives way to a small KV memory; a given one must fit. */
export function resolveLimits(base: EngineLimits, options: Partial<EngineLimits>): EngineLimits {
  const blockSize = options.blockSize ?? base.blockSize
  const numGpuBlocks = options.numGpuBlocks ?? base.numGpuBlocks
  const kvTokens = numGpuBlocks * blockSize
  if (options.maxModelLen !== undefined && options.maxModelLen > kvTokens) {
    throw new ForebayError(
      'config_invalid',
      `maxModelLen ${options.maxModelLen} is larger than the ${kvTokens} tokens of KV memory (${numGpuBlocks} blocks of ${blockSize}). Raise numGpuBlocks or lower maxModelLen.`,
    )
  }
  return {
    maxNumSeqs: options.maxNumSeqs ?? base.maxNumSeqs,
    maxNumBatchedTokens: options.maxNumBatchedTokens ?? base.maxNumBatchedTokens,
    numGpuBlocks,
    blockSize,
    maxModelLen: options.maxModelLen ?? Math.min(base.maxModelLen, kvTokens),
  }
}
