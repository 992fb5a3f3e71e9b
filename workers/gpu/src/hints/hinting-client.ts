import type { Clock, Logger } from '@forebay/kernel'
import type { EngineProfile } from '../engine/detect-engine.ts'
import type { EngineCall, EngineClient, StreamSink } from '../engine/engine-client.ts'
import type { Answer, Failure } from '../engine/outcome.ts'
import { makeCacheSalts } from './cache-salt.ts'
import { enginePriority } from './engine-priority.ts'
import { spliceMembers } from './splice-members.ts'

type Hint = 'priority' | 'cache_salt'

// Where vLLM takes both. Embeddings are asked without: those of many tenants share calls.
const hintedPaths = new Set(['/v1/chat/completions', '/v1/completions'])
const hintedKinds = new Set<EngineProfile['kind']>(['vllm', 'engine-sim'])

/** What a HintingClient needs. */
export interface HintingClientOptions {
  client: Pick<EngineClient, 'call' | 'stream'>
  clock: Clock
  logger: Logger
  /** What the engine is; undefined while it is not known. */
  kind: () => EngineProfile['kind'] | undefined
  /** Of the salts. */
  secret: string | Buffer
}

/**
 * Tells a vLLM, in the request's own body, how urgent a request is and whose: `priority` and `cache_salt`, unless the
 * client has set them. The client's bytes stay as they are. Another engine gets the body untouched. A hint that the
 * engine refuses is not given again until `forget`, and the request is repeated without it in the same attempt.
 */
export class HintingClient {
  readonly #options: HintingClientOptions
  readonly #saltOf: (tenantId: string) => string
  readonly #refused = new Set<Hint>()

  constructor(options: HintingClientOptions) {
    this.#options = options
    this.#saltOf = makeCacheSalts(options.secret)
  }

  /** As EngineClient's. */
  call(call: EngineCall): Promise<Answer | Failure> {
    return this.#hinted(call, (hinted) => this.#options.client.call(hinted))
  }

  /** As EngineClient's. */
  stream(call: EngineCall, sink: StreamSink): Promise<Answer | Failure | { kind: 'streamed' }> {
    return this.#hinted(call, (hinted) => this.#options.client.stream(hinted, sink))
  }

  /** The engine went away: what comes in its place may take what it refused. */
  forget(): void {
    this.#refused.clear()
  }

  async #hinted<T extends { kind: string }>(
    call: EngineCall,
    send: (call: EngineCall) => Promise<T | Answer | Failure>,
  ): Promise<T | Answer | Failure> {
    const first = this.#splice(call, this.#refused)
    const answer = await send(first.added.length > 0 ? { ...call, body: first.body } : call)
    return isRefusal(answer) ? this.#withFewer(call, send, answer, first.added) : answer
  }

  /** Goes on after a refusal: without the hints that it names, for as long as it names some. */
  async #withFewer<T extends { kind: string }>(
    call: EngineCall,
    send: (call: EngineCall) => Promise<T | Answer | Failure>,
    refusal: Answer,
    given: readonly Hint[],
  ): Promise<T | Answer | Failure> {
    const without = new Set(this.#refused)
    const blamed: Hint[] = []
    let [answer, added]: [T | Answer | Failure, readonly Hint[]] = [refusal, given]
    for (;;) {
      const named = added.filter((hint) => refuses(answer, hint))
      if (named.length === 0) {
        // Only then was it the hint that the engine refused.
        if (succeeded(answer)) this.#switchOff(blamed)
        return answer
      }
      for (const hint of named) without.add(hint)
      blamed.push(...named)
      const next = this.#splice(call, without)
      added = next.added
      answer = await send(added.length > 0 ? { ...call, body: next.body } : call)
    }
  }

  #splice(call: EngineCall, without: ReadonlySet<Hint>): { body: Buffer; added: Hint[] } {
    const { clock, kind } = this.#options
    const engine = kind()
    if (engine === undefined || !hintedKinds.has(engine) || !hintedPaths.has(call.path)) {
      return { body: call.body, added: [] }
    }
    const slackMs = call.deadlineMs - clock.now()
    return spliceMembers(call.body, {
      priority: without.has('priority') ? undefined : enginePriority({ lane: call.lane, slackMs }),
      cache_salt: without.has('cache_salt') ? undefined : this.#saltOf(call.tenantId),
    })
  }

  #switchOff(hints: readonly Hint[]): void {
    const fresh = hints.filter((hint) => !this.#refused.has(hint))
    if (fresh.length === 0) return
    for (const hint of fresh) this.#refused.add(hint)
    this.#options.logger.warn({ hints: fresh }, 'engine refuses hints: it gets its requests without them')
  }
}

type Ended = Answer | Failure | { readonly kind: string }

function isRefusal(answer: Ended): answer is Answer {
  return answer.kind === 'answer' && 'status' in answer && (answer.status === 400 || answer.status === 422)
}

function succeeded(answer: Ended): boolean {
  return answer.kind === 'streamed' || (answer.kind === 'answer' && 'status' in answer && answer.status < 300)
}

function refuses(answer: Ended, hint: Hint): boolean {
  return isRefusal(answer) && answer.body.toString().toLowerCase().includes(hint)
}
