/** One generation asked of the engine. */
export interface EngineRequest {
  /** Unique among the requests in the engine. */
  readonly id: string
  readonly promptTokens: number
  /** Tokens it will generate, at least 1. */
  readonly outputTokens: number
  /** Lower goes first, under the `priority` policy only. Default 0. */
  readonly priority?: number
  /** Hash chain of the prompt's leading full blocks (`hashBlocks`); what is absent is not shared. */
  readonly blockHashes?: readonly number[]
}

/** A request inside the engine, as the caller sees it. */
export interface EngineSequence<R extends EngineRequest = EngineRequest> {
  readonly request: R
  /** Tokens generated so far. */
  readonly generated: number
  /** Prompt tokens found in the prefix cache when it was first admitted. */
  readonly cachedTokens: number
  /** Times it was thrown out for want of KV and computed again. */
  readonly preemptions: number
}

/** The scheduler's own view of a sequence. */
export class Sequence<R extends EngineRequest> implements EngineSequence<R> {
  readonly request: R
  readonly priority: number
  readonly arrival: number
  live = true
  running = false
  generated = 0
  /** Tokens whose KV is in memory. */
  computed = 0
  /** Tokens given to it in the step being built. */
  scheduled = 0
  cachedTokens = -1
  preemptions = 0
  /** Blocks it shares in the prefix cache, in chain order. */
  held: number[] = []
  /** Blocks that are its own. */
  anonymous = 0
  /** Prompt blocks already offered to the prefix cache. */
  offered = 0

  constructor(request: R, arrival: number) {
    this.request = request
    this.priority = request.priority ?? 0
    this.arrival = arrival
  }

  /** Tokens known so far: prompt and generated. */
  get tokens(): number {
    return this.request.promptTokens + this.generated
  }
}
