import type { Answer } from '@forebay/answer-cache'
import { type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import type { AnswerIndex } from './answer-index.ts'
import { type Embedder, similarityOf } from './embedder.ts'
import { readFacts } from './facts.ts'
import { readSaid } from './question.ts'
import { type Guard, normalText, tellApart } from './same-meaning.ts'
import type { TrustBook } from './trust-book.ts'

/** A question as it was asked. */
export interface AskedQuestion {
  tenantId: string
  model: string
  /** Hash of everything that must be equal. */
  hardKey: string
  text: string
  /** Longest that its answer is kept. */
  ttlMs?: number | undefined
}

/** An answer to a question that means the same, as far as is known. */
export interface Served {
  answer: Answer
  similarity: number
}

/** Decides whether a stored answer would have done as well as the fresh one. */
export type Judge = (options: { question: string; stored: string; fresh: string }) => Promise<boolean>

/** What becomes of lookups, for metrics. */
export interface SemanticObserver {
  /** `served`; `shadow` and `sampled`: one was found, and is compared with what is computed; `miss`; `error`. */
  looked(result: 'served' | 'shadow' | 'sampled' | 'miss' | 'error'): void
  /** A near answer was refused. */
  refused(guard: Guard): void
  sampled(verdict: 'right' | 'wrong'): void
  stopped(tenantId: string, model: string): void
}

const candidatesMax = 4
const expireEveryMs = 60_000
/** Two answers whose vectors are this close say the same, if their numbers do. */
const sameAnswerSimilarity = 0.9

/**
 * Answers to questions that mean what an earlier one did. It serves nothing until it has measured itself: in shadow
 * every near answer is compared with the computed one, out of the request's way. Once it serves, a share of what it
 * would serve is computed all the same and compared; too many differences stop it.
 */
export class SemanticCache implements Running {
  readonly #options: SemanticCacheOptions
  readonly #work = new Set<Promise<void>>()
  #stopTimer: (() => void) | undefined

  constructor(options: SemanticCacheOptions) {
    this.#options = options
  }

  start(): void {
    this.#stopTimer ??= this.#options.clock.every(expireEveryMs, () => {
      this.#later(() => this.#options.index.expire())
    })
  }

  /** Finishes comparisons under way. The embedder and index given stay open. */
  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    await this.settled()
  }

  /** Resolves when nothing is compared or stored any more. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work)
  }

  /**
   * The answer to serve; or what to call with the computed one, undefined when there is none to keep. Never rejects: a
   * cache in trouble computes.
   */
  async ask(asked: AskedQuestion): Promise<Served | ((computed: Answer | undefined) => void)> {
    const { observer, random, sampleShare, trust } = this.#options
    const { state } = await trust.of(asked.tenantId, asked.model).catch((err: unknown) => {
      this.#trouble(err)
      return { state: 'stopped' as const }
    })
    if (state === 'stopped') return () => {}
    const looking = this.#look(asked).catch((err: unknown) => {
      this.#trouble(err)
      return undefined
    })
    const learn = (why: Why) => (computed: Answer | undefined) =>
      this.#later(() => this.#learn(asked, looking, computed, why))
    // In shadow the request does not wait for the lookup.
    if (state === 'shadow') return learn('shadow')
    const found = await looking
    if (!found?.near) return learn('miss')
    if (random() < sampleShare) {
      return learn('sampled')
    }
    observer.looked('served')
    return found.near
  }

  /** Deletes a tenant's answers. */
  eraseTenant(tenantId: string): Promise<void> {
    return this.#options.index.eraseTenant(tenantId)
  }

  async #look(asked: AskedQuestion): Promise<Looked> {
    const { embedder, index, observer, similarityMin } = this.#options
    const [vector] = await embedder.embed([asked.text])
    if (!vector) throw new Error('no vector')
    for (const near of await index.nearest({ hardKey: asked.hardKey, vector, count: candidatesMax })) {
      if (near.similarity < similarityMin) break
      const guard = tellApart(near.question, asked.text)
      if (guard === undefined) return { vector, near: { answer: near.answer, similarity: near.similarity } }
      observer.refused(guard)
    }
    return { vector, near: undefined }
  }

  async #learn(
    asked: AskedQuestion,
    looking: Promise<Looked | undefined>,
    computed: Answer | undefined,
    why: Why,
  ): Promise<void> {
    const { index, observer, trust } = this.#options
    const found = await looking
    const said = computed && readSaid(computed.text)
    if (!found || !computed || said === undefined) return
    if (why === 'miss' || !found.near) observer.looked('miss')
    else {
      observer.looked(why)
      const wrong = !(await this.#saysTheSame(asked.text, readSaid(found.near.answer.text) ?? '', said))
      observer.sampled(wrong ? 'wrong' : 'right')
      const { state } = await trust.sample(asked.tenantId, asked.model, wrong)
      if (state === 'stopped') observer.stopped(asked.tenantId, asked.model)
    }
    const { hardKey, tenantId, text: question, ttlMs } = asked
    await index.add({ tenantId, hardKey, question, vector: found.vector, answer: computed, ttlMs })
  }

  async #saysTheSame(question: string, stored: string, fresh: string): Promise<boolean> {
    const { embedder, judge } = this.#options
    if (judge) return judge({ question, stored, fresh })
    if (normalText(stored) === normalText(fresh)) return true
    if (readFacts(stored).numbers.join() !== readFacts(fresh).numbers.join()) return false
    const [a, b] = await embedder.embed([stored, fresh])
    return a !== undefined && b !== undefined && similarityOf(a, b) >= sameAnswerSimilarity
  }

  #later(work: () => Promise<void>): void {
    const running = work()
      .catch((err: unknown) => this.#trouble(err))
      .finally(() => this.#work.delete(running))
    this.#work.add(running)
  }

  #trouble(err: unknown): void {
    this.#options.observer.looked('error')
    this.#options.logger.warn({ reason: describeError(err) }, 'semantic cache in trouble; requests are computed')
  }
}

/** Why a request is computed: to be compared with what was found, or because nothing was. */
type Why = 'shadow' | 'sampled' | 'miss'

interface Looked {
  vector: Float32Array
  near: Served | undefined
}

interface SemanticCacheOptions {
  clock: Clock
  logger: Logger
  embedder: Embedder
  index: AnswerIndex
  trust: TrustBook
  observer: SemanticObserver
  /** Least cosine of two questions that may mean the same. */
  similarityMin: number
  /** The share of hits that is computed all the same, and compared. */
  sampleShare: number
  /** From 0 to 1. */
  random: () => number
  /** Replaces the comparison by text, numbers and vectors. */
  judge?: Judge | undefined
}
