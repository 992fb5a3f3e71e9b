import { type GatherItem, type GatherLimits, makeGatherer } from '@forebay/batcher'
import type { Clock, Running } from '@forebay/kernel'
import { CallAbort } from '../engine/call-abort.ts'
import type { EngineCall, EngineClient } from '../engine/engine-client.ts'
import type { Answer, Failure } from '../engine/outcome.ts'
import type { WorkerMetrics } from '../metrics.ts'
import { type EmbeddingCall, joinCalls, readEmbeddingCall } from './embedding-call.ts'
import { splitAnswer } from './split-answer.ts'

interface Member extends GatherItem {
  readonly call: EngineCall
  readonly parts: EmbeddingCall
  readonly settle: (outcome: Answer | Failure) => void
  readonly reject: (reason: unknown) => void
  left: boolean
}

const path = '/v1/embeddings'
// What tells of the engine, not of what it was asked: each member hears it, none is asked again alone.
const engineTroubles = new Set<Failure['reason']>(['down', 'lost', 'denied'])

/** What a GatheringClient needs. */
export interface GatheringClientOptions {
  client: Pick<EngineClient, 'call'>
  limits: GatherLimits
  clock: Clock
  metrics: Pick<WorkerMetrics, 'sharedInputs'>
}

/**
 * Sends embeddings requests of the same model and parameters in shared engine calls. What fails together is asked again
 * one by one within the same attempt, so one bad input never fails its neighbours. A request alone in its call, and any
 * other than embeddings, goes to the engine byte for byte.
 */
export class GatheringClient implements Running {
  readonly #options: GatheringClientOptions
  readonly #gatherer
  #serial = 0
  #taking = false
  #timer: { dueMs: number; cancel: () => void } | undefined

  constructor(options: GatheringClientOptions) {
    this.#options = options
    this.#gatherer = makeGatherer<Member>(options.limits)
  }

  /** As EngineClient's. */
  call(call: EngineCall): Promise<Answer | Failure> {
    const { client, clock, limits } = this.#options
    const parts = call.path === path && limits.inputsMax > 1 ? readEmbeddingCall(call.body) : undefined
    if (!parts) return client.call(call)
    return new Promise((resolve, reject) => {
      call.signal.throwIfAborted()
      const member: Member = {
        id: String(++this.#serial),
        // Live requests would wait for as long as a call full of batch work takes.
        key: `${call.lane === 'realtime' ? 'live' : 'low'} ${parts.key}`,
        inputs: parts.inputs.length,
        tokens: parts.tokens.reduce((sum, count) => sum + count, 0),
        call,
        parts,
        settle: resolve,
        reject,
        left: false,
      }
      const leave = () => {
        member.left = true
        this.#gatherer.remove(member.id)
        reject(call.signal.reason)
      }
      call.signal.addEventListener('abort', leave, { once: true })
      this.#gatherer.add(member, clock.now())
      this.#takeSoon()
    })
  }

  /** Nothing that waits is sent any more by itself. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Once for all that comes in one turn, so that they share. */
  #takeSoon(): void {
    if (this.#taking) return
    this.#taking = true
    queueMicrotask(() => {
      this.#taking = false
      this.#take()
    })
  }

  #take(): void {
    const { clock } = this.#options
    const nowMs = clock.now()
    for (const members of this.#gatherer.take(nowMs)) {
      void this.#send(members).finally(() => {
        this.#gatherer.ended()
        this.#takeSoon()
      })
    }
    const dueMs = this.#gatherer.nextDueMs()
    if (dueMs === undefined || (this.#timer && this.#timer.dueMs <= dueMs)) return
    this.#timer?.cancel()
    const cancel = clock.after(Math.max(0, dueMs - nowMs), () => {
      this.#timer = undefined
      this.#take()
    })
    this.#timer = { dueMs, cancel }
  }

  async #send(members: readonly Member[]): Promise<void> {
    this.#options.metrics.sharedInputs.observe(members.reduce((sum, { inputs }) => sum + inputs, 0))
    const [first] = members
    if (!first) return
    if (members.length === 1) {
      await this.#sendAlone(first)
      return
    }
    const outcome = await this.#together(members, first).catch(() => undefined)
    // All have left.
    if (outcome === undefined) return
    if (outcome.kind === 'failure' && (engineTroubles.has(outcome.reason) || isOverload(outcome))) {
      for (const member of members) member.settle(outcome)
      return
    }
    const answers =
      outcome.kind === 'answer' && outcome.status < 300
        ? splitAnswer(
            outcome,
            members.map(({ parts }) => parts),
          )
        : undefined
    for (const [i, answer] of answers?.entries() ?? []) members[i]?.settle(answer)
    if (!answers) await this.#apart(members, first.key)
  }

  async #together(members: readonly Member[], first: Member): Promise<Answer | Failure> {
    const all = new CallAbort()
    const leaves = () => {
      if (members.every(({ left }) => left)) all.abort(first.call.signal.reason)
    }
    for (const { call } of members) call.signal.addEventListener('abort', leaves, { once: true })
    try {
      return await this.#options.client.call({
        ...first.call,
        body: joinCalls(members.map(({ parts }) => parts)),
        limitMs: Math.max(...members.map(({ call }) => call.limitMs)),
        signal: all,
      })
    } finally {
      for (const { call } of members) call.signal.removeEventListener('abort', leaves)
    }
  }

  /** Each alone; where all succeed, it was the number of inputs that the engine did not take. */
  async #apart(members: readonly Member[], key: string): Promise<void> {
    const succeeded = await Promise.all(members.map((member) => this.#sendAlone(member)))
    const inputs = members.reduce((sum, member) => sum + member.inputs, 0)
    if (succeeded.every(Boolean)) this.#gatherer.limitKey(key, Math.floor(inputs / 2))
  }

  async #sendAlone(member: Member): Promise<boolean> {
    if (member.left) return false
    try {
      const outcome = await this.#options.client.call(member.call)
      member.settle(outcome)
      return outcome.kind === 'answer' && outcome.status < 300
    } catch (err) {
      member.reject(err)
      return false
    }
  }
}

function isOverload({ reason, status }: Failure): boolean {
  return reason === 'status' && (status === 429 || status === 503)
}
