import { hash } from 'node:crypto'
import type { BatcherRequest, Suspicion } from '@forebay/batcher'
import { batchRequestId, type ChunkJob, type RequestResult } from '@forebay/contracts'
import { endUserHash, endUserIn, findMembers, type PlanEntry, withModel } from '@forebay/plan'
import { measureAnswer } from '@forebay/quality'
import { countEnd } from '../count-end.ts'
import type { CallSignal } from '../engine/call-abort.ts'
import { type Answer, errorAnswer, type Failure, lastAnswer } from '../engine/outcome.ts'
import type { FinishedRequest } from '../results/event-store.ts'
import type { AttemptEnd, Task } from '../task.ts'
import type { WorkerTools } from '../tools.ts'
import type { CheckedLine } from './checked-line.ts'
import { type LineError, outputLine } from './output-line.ts'

// A chunk that came back so often may hold a request that kills its worker's engine: look at it with suspicion.
const trustedReleases = 3

const nothing = Buffer.alloc(0)

/** How a line ended: its result, and the body of the answer. */
export interface LineEnd {
  readonly finished: FinishedRequest
  readonly body: Buffer
  /** What is wrong with it, if the engine is satisfied with it. */
  readonly error?: LineError | undefined
}

/** What a line of the input file asks for. */
export interface LineRequest {
  /** A part of the line. */
  readonly body: Buffer
  readonly customId: string
}

/** What a line of the input file asks for; undefined when it is no request. */
export function readLine(line: Buffer): LineRequest | undefined {
  const members = findMembers(line, ['custom_id', 'body'])
  if (!members?.body) return undefined
  const body = line.subarray(members.body.start, members.body.end)
  const customId = members.custom_id ? textOf(line.subarray(members.custom_id.start, members.custom_id.end)) : ''
  return { body, customId }
}

/** What a LineTask needs. */
export interface LineTaskOptions {
  tools: WorkerTools
  job: ChunkJob
  entry: PlanEntry
  /** Undefined: the line is no request. */
  request: LineRequest | undefined
  /** What its answer must fit. */
  check: CheckedLine | undefined
  /** Unique in this process. */
  taskId: string
  /** Called once: with the result, or undefined when it was dropped. */
  onEnd: (task: LineTask, end: LineEnd | undefined) => void
}

/** A line of a chunk as a task. */
export class LineTask implements Task {
  readonly id: string
  readonly lane: ChunkJob['lane']
  readonly model: string
  readonly batchId: string
  readonly prefixGroup: number
  readonly bytes: number
  readonly estTokens: number
  readonly deadlineMs: number
  readonly streams = false
  readonly suspicion: Suspicion
  /** Of the input file. */
  readonly entry: PlanEntry
  readonly #options: LineTaskOptions
  readonly #requestId: string
  readonly #body: Buffer
  readonly #sent: Buffer
  readonly #receivedAtMs: number
  #admittedMs: number | undefined
  #startedMs: number | undefined

  constructor(options: LineTaskOptions) {
    const { entry, job, request, taskId, tools } = options
    this.#options = options
    this.#requestId = batchRequestId(job.batchId, entry.line)
    this.#body = request?.body ?? nothing
    this.#sent = job.alias === undefined ? this.#body : withModel(this.#body, job.model)
    this.#receivedAtMs = tools.clock.now()
    this.id = taskId
    this.entry = entry
    this.lane = job.lane
    this.model = job.model
    this.batchId = job.batchId
    this.prefixGroup = entry.prefixGroup
    this.bytes = this.#body.length
    this.estTokens = entry.estTokens
    this.deadlineMs = job.deadlineMs
    this.suspicion = Math.max(0, Math.min(2, job.attempt - trustedReleases)) as Suspicion
  }

  async attempt(signal: CallSignal, attemptsBefore: number): Promise<AttemptEnd> {
    const { check, job, tools } = this.#options
    const { batcher, client, clock, limits } = tools
    const startedMs = clock.now()
    this.#startedMs = startedMs
    this.#admittedMs ??= startedMs
    const expected = batcher.estimate(this satisfies BatcherRequest)
    const answer = await client.call({
      requestId: this.#requestId,
      path: job.endpoint,
      body: check?.bodyOf(this.#sent) ?? this.#sent,
      model: job.model,
      lane: job.lane,
      tenantId: job.tenantId,
      deadlineMs: job.deadlineMs,
      limitMs: limits.limitMs(expected, attemptsBefore),
      outputTokens: expected.outputTokensMost,
      signal,
    })
    if (answer.kind === 'failure') return answer
    const succeeded = answer.status < 300
    if (succeeded) limits.learn(clock.now() - startedMs, answer.usage)
    if (!check) this.#end(answer, undefined)
    else {
      const verdict = check.judge(answer)
      if (verdict.kind === 'again') return { kind: 'unwanted', usage: answer.usage }
      this.#end(verdict.answer, verdict.error)
    }
    return { kind: 'ended', usage: succeeded ? answer.usage : null }
  }

  fail(failure: Failure): void {
    const kept = this.#options.check?.kept()
    if (kept) this.#end(kept.answer, kept.error)
    else this.#end(lastAnswer(failure), undefined)
  }

  dropped(): void {
    this.#options.onEnd(this, undefined)
  }

  /** Ends a line that is no request. */
  refuse(): void {
    const message = `Line ${this.entry.line} of the input file is not a request.`
    this.#end(errorAnswer(400, 'invalid_json', message), undefined)
  }

  #end(answer: Answer, error: LineError | undefined): void {
    const { job, onEnd, tools } = this.#options
    const nowMs = tools.clock.now()
    countEnd(tools.metrics, {
      labels: tools.labels(job.model),
      lane: job.lane,
      outcome: isGood(answer) && !error ? 'succeeded' : 'failed',
      completionTokens: answer.usage.completionTokens,
      receivedAtMs: this.#receivedAtMs,
      startedMs: this.#startedMs,
      nowMs,
      firstTokenMs: null,
    })
    tools.throughput.add(answer.usage)
    const { body, status } = answer
    const customId = this.#options.request?.customId ?? ''
    const line = outputLine({ id: this.#requestId, customId, status, body, error })
    onEnd(this, { finished: { line, result: this.#resultOf(answer, error, nowMs) }, body, error })
  }

  #resultOf(answer: Answer, error: LineError | undefined, nowMs: number): RequestResult {
    const { check, job, request, tools } = this.#options
    const startedMs = this.#startedMs ?? nowMs
    const answered = isGood(answer)
    return {
      requestId: this.#requestId,
      tenantId: job.tenantId,
      apiKeyId: job.apiKeyId,
      batchId: job.batchId,
      line: this.entry.line,
      chunk: job.chunk,
      customId: request?.customId ?? '',
      endpoint: job.endpoint,
      model: job.model,
      pool: job.pool,
      lane: job.lane,
      attempt: job.attempt,
      outcome: answered && !error ? 'succeeded' : 'failed',
      statusCode: answer.status,
      errorCode: error?.code ?? answer.errorCode,
      usage: answer.usage,
      discarded: check?.discarded,
      queuedMs: Math.max(0, Math.round(startedMs - this.#receivedAtMs)),
      firstTokenMs: null,
      durationMs: Math.max(0, Math.round(nowMs - startedMs)),
      finishedAtMs: nowMs,
      quality: answered ? measureAnswer(answer.parsed) : undefined,
      batcherMs: Math.max(0, Math.round((this.#admittedMs ?? nowMs) - this.#receivedAtMs)),
      source: 'engine',
      gpuMs: tools.meter.settle(this.id, answered ? answer.usage : null, nowMs) / 1000,
      modelVersion: tools.modelVersion(job.model),
      bodyHash: hash('sha256', this.#body, 'hex'),
      endUser: hashOfEndUser(job, this.#body),
      requestBytes: { key: job.inputKey, offset: this.entry.offset, length: this.entry.length },
      bytes: null,
    }
  }
}

function isGood({ status }: Answer): boolean {
  return status >= 200 && status < 300
}

function hashOfEndUser({ endUserKey }: ChunkJob, body: Buffer): string | undefined {
  const endUser = endUserKey === undefined ? undefined : endUserIn(body)
  return endUserKey === undefined || endUser === undefined ? undefined : endUserHash(endUserKey, endUser)
}

function textOf(json: Buffer): string {
  try {
    const value: unknown = JSON.parse(json.toString())
    return typeof value === 'string' ? value : ''
  } catch {
    return ''
  }
}
