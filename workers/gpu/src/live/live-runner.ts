import type { Control, Lane, RequestJob, WorkJob } from '@forebay/contracts'
import type { Running } from '@forebay/kernel'
import type { JobReceiver, LeasedJob } from '@forebay/queue-core'
import type { ReplyBus } from '@forebay/reply-bus'
import { settleDone } from '../settle-done.ts'
import type { WorkerTools } from '../tools.ts'
import { type KeptContent, keepContent } from './kept-content.ts'
import { type GiveUp, type LiveEnd, LiveRequest } from './live-request.ts'
import { makeReplySender } from './reply-sender.ts'

const beatMs = 250

/** Runs the real-time requests this worker holds. */
export class LiveRunner implements Running {
  readonly #tools: WorkerTools
  readonly #bus: Pick<ReplyBus, 'send'>
  readonly #held = new Map<LiveRequest, Promise<void>>()
  readonly #newest = new Map<string, LiveRequest>()
  /** What cancels the timer of a request whose deadline is near. */
  readonly #deadlines = new Map<LiveRequest, () => void>()
  #stopBeat: (() => void) | undefined
  #serial = 0

  constructor(options: { tools: WorkerTools; bus: Pick<ReplyBus, 'send'> }) {
    this.#tools = options.tools
    this.#bus = options.bus
  }

  /** Keeps the replies alive for as long as there are any: a worker without work is not woken for them. */
  #beat(): void {
    const { clock } = this.#tools
    this.#stopBeat ??= clock.every(beatMs, () => {
      const soonMs = clock.now() + beatMs
      for (const request of this.#newest.values()) {
        request.keepAlive()
        if (request.deadlineMs <= soonMs) this.#endInTime(request)
      }
      if (this.#newest.size === 0) this.#stopBeating()
    })
  }

  #stopBeating(): void {
    this.#stopBeat?.()
    this.#stopBeat = undefined
  }

  /** Requests of a lane that are not ended. */
  onHand(lane: Lane): number {
    let count = 0
    for (const request of this.#newest.values()) if (request.lane === lane) count++
    return count
  }

  /** Takes a request on, replies, and settles its job once its result is stored. */
  onJob(leased: LeasedJob<RequestJob>, receiver: Pick<JobReceiver<WorkJob>, 'settle'>): void {
    const { clock, logger, dispatcher, workerId } = this.#tools
    const { job } = leased
    const other = this.#newest.get(job.requestId)
    if (other && other.job.attempt >= job.attempt) {
      // The broker delivered late or twice; begun anew, the reply's frames would contradict each other.
      void settleDone({ receiver, leased, clock, logger })
      return
    }
    other?.abandon('superseded')
    const sender = makeReplySender({ bus: this.#bus, job, workerId, clock, logger })
    const kept = job.keepContent === true ? keepContent(job.body, sender) : undefined
    const reply = kept?.reply ?? sender
    let onEnd: (end: LiveEnd) => void = noop
    const ended = new Promise<LiveEnd>((resolve) => {
      onEnd = resolve
    })
    const id = `${job.requestId}:${++this.#serial}`
    const request = new LiveRequest({ id, job, tools: this.#tools, reply, onEnd })
    const untilDeadline = job.deadlineMs - clock.now()
    this.#newest.set(job.requestId, request)
    this.#beat()
    if (untilDeadline <= beatMs) this.#endInTime(request)
    this.#held.set(request, this.#untilSettled({ request, ended, leased, receiver, kept: kept?.content }))
    if (untilDeadline > 0) dispatcher.submit(request)
    else request.abandon('deadline')
  }

  async #untilSettled(held: {
    request: LiveRequest
    ended: Promise<LiveEnd>
    leased: LeasedJob<RequestJob>
    receiver: Pick<JobReceiver<WorkJob>, 'settle'>
    kept: KeptContent | undefined
  }): Promise<void> {
    const { ended, leased, receiver, request } = held
    const { clock, flusher, logger, onFree } = this.#tools
    // What the client has begun to see goes on here: elsewhere it could only start from the beginning.
    const forgetLoss = leased.onLost(() => {
      if (!request.hasBegun) request.abandon('lost')
    })
    const result = await ended
    this.#deadlines.get(request)?.()
    this.#deadlines.delete(request)
    forgetLoss()
    if (this.#newest.get(request.job.requestId) === request) this.#newest.delete(request.job.requestId)
    if (result) {
      const finished = { result, line: null, content: held.kept }
      await new Promise<void>((stored) => flusher.add(finished, stored))
    }
    await settleDone({ receiver, leased, clock, logger })
    this.#held.delete(request)
    onFree()
  }

  /** Most requests end long before their deadline, so one has a timer only once that is near. */
  #endInTime(request: LiveRequest): void {
    const { clock } = this.#tools
    if (this.#deadlines.has(request)) return
    const leftMs = Math.max(0, request.deadlineMs - clock.now())
    this.#deadlines.set(
      request,
      clock.after(leftMs, () => request.abandon('deadline')),
    )
  }

  /** The client left, or its gateway gave this attempt up. Ids and attempts not held here are ignored. */
  cancel({ requestId, attempt, reason }: Extract<Control, { type: 'cancel-request' }>): void {
    const request = this.#newest.get(requestId)
    if (request?.job.attempt === attempt) request.abandon(reason === 'left' ? 'cancelled' : 'superseded')
  }

  /** Gives up every request for which `which` holds. */
  abandonAll(reason: GiveUp, which: (request: LiveRequest) => boolean = () => true): void {
    for (const request of [...this.#newest.values()]) if (which(request)) request.abandon(reason)
  }

  /** Resolves when every job held now is settled. */
  async idle(): Promise<void> {
    await Promise.all(this.#held.values())
  }

  async stop(): Promise<void> {
    this.#stopBeating()
  }
}

function noop(): void {}
