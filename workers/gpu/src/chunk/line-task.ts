import { hash } from 'node:crypto'
import type { Suspicion } from '@forebay/batcher'
import { batchRequestId, type ChunkJob } from '@forebay/contracts'
import { endUserHash, endUserIn, findMembers, type PlanEntry, withModel } from '@forebay/plan'
import { measureAnswer } from '@forebay/quality'
import { countEnd } from '../count-end.ts'
import { type Answer, errorAnswer, lastAnswer } from '../engine/outcome.ts'
import type { FinishedRequest } from '../results/result-flusher.ts'
import type { Task } from '../task.ts'
import type { WorkerTools } from '../tools.ts'
import type { CheckedLine } from './checked-line.ts'
import { type LineError, outputLine } from './output-line.ts'

// A chunk that came back so often may hold a request that kills its worker's engine: look at it with suspicion.
const trustedReleases = 3

/** How a line ended: its result, and the body of the answer. */
export interface LineEnd {
  readonly finished: FinishedRequest
  readonly body: Buffer
  /** What is wrong with it, if the engine is satisfied with it. */
  readonly error?: LineError | undefined
}

/** What a line of the input file asks for; undefined when it is no request. The body is part of the line. */
export function readLine(line: Buffer): { body: Buffer; customId: string } | undefined {
  const members = findMembers(line, ['custom_id', 'body'])
  if (!members?.body) return undefined
  const body = line.subarray(members.body.start, members.body.end)
  const customId = members.custom_id ? textOf(line.subarray(members.custom_id.start, members.custom_id.end)) : ''
  return { body, customId }
}

/** A line of a chunk as a task. `onEnd` is called once: with the result, or undefined when it was dropped. */
export function makeLineTask(options: {
  tools: WorkerTools
  job: ChunkJob
  entry: PlanEntry
  /** Undefined: the line is no request. */
  request: { body: Buffer; customId: string } | undefined
  /** What its answer must fit. */
  check?: CheckedLine | undefined
  /** Unique in this process. */
  taskId: string
  receivedAtMs: number
  onEnd: (end: LineEnd | undefined) => void
}): { task: Task; refuse: () => void } {
  const { check, entry, job, onEnd, tools } = options
  const { clock, limits, metrics } = tools
  const requestId = batchRequestId(job.batchId, entry.line)
  const { body, customId } = options.request ?? { body: Buffer.alloc(0), customId: '' }
  const sent = job.alias === undefined ? body : withModel(body, job.model)
  let admittedMs: number | undefined
  let startedMs: number | undefined

  const end = (answer: Answer, error?: LineError) => {
    const nowMs = clock.now()
    const answered = answer.status >= 200 && answer.status < 300
    const succeeded = answered && !error
    countEnd(metrics, {
      labels: tools.labels(job.model),
      lane: job.lane,
      outcome: succeeded ? 'succeeded' : 'failed',
      completionTokens: answer.usage.completionTokens,
      receivedAtMs: options.receivedAtMs,
      startedMs,
      nowMs,
      firstTokenMs: null,
    })
    tools.throughput.add(answer.usage)
    const finished: FinishedRequest = {
      line: outputLine({ id: requestId, customId, status: answer.status, body: answer.body, error }),
      result: {
        requestId,
        tenantId: job.tenantId,
        apiKeyId: job.apiKeyId,
        batchId: job.batchId,
        line: entry.line,
        chunk: job.chunk,
        customId,
        endpoint: job.endpoint,
        model: job.model,
        pool: job.pool,
        lane: job.lane,
        attempt: job.attempt,
        outcome: succeeded ? 'succeeded' : 'failed',
        statusCode: answer.status,
        errorCode: error?.code ?? answer.errorCode,
        usage: answer.usage,
        discarded: check?.discarded,
        queuedMs: Math.max(0, Math.round((startedMs ?? nowMs) - options.receivedAtMs)),
        firstTokenMs: null,
        durationMs: Math.max(0, Math.round(nowMs - (startedMs ?? nowMs))),
        finishedAtMs: nowMs,
        quality: answered ? measureAnswer(answer.parsed) : undefined,
        batcherMs: Math.max(0, Math.round((admittedMs ?? nowMs) - options.receivedAtMs)),
        source: 'engine',
        gpuMs: tools.meter.settle(options.taskId, answered ? answer.usage : null, nowMs) / 1000,
        modelVersion: tools.modelVersion(job.model),
        bodyHash: hash('sha256', body, 'hex'),
        endUser: hashOfEndUser(job, body),
        requestBytes: { key: job.inputKey, offset: entry.offset, length: entry.length },
      },
    }
    onEnd({ finished, body: answer.body, error })
  }

  const task: Task = {
    id: options.taskId,
    lane: job.lane,
    model: job.model,
    batchId: job.batchId,
    prefixGroup: entry.prefixGroup,
    bytes: body.length,
    estTokens: entry.estTokens,
    deadlineMs: job.deadlineMs,
    streams: false,
    suspicion: Math.max(0, Math.min(2, job.attempt - trustedReleases)) as Suspicion,
    async attempt(signal, attemptsBefore) {
      startedMs = clock.now()
      admittedMs ??= startedMs
      const answer = await tools.client.call({
        requestId,
        path: job.endpoint,
        body: check?.bodyOf(sent) ?? sent,
        model: job.model,
        lane: job.lane,
        tenantId: job.tenantId,
        deadlineMs: job.deadlineMs,
        limitMs: limits.limitMs(tools.batcher.estimate(task), attemptsBefore),
        signal,
      })
      if (answer.kind === 'failure') return answer
      const succeeded = answer.status < 300
      if (succeeded) limits.learn(clock.now() - startedMs, answer.usage)
      const verdict = check?.judge(answer) ?? { kind: 'ends' as const, answer }
      if (verdict.kind === 'again') return { kind: 'unwanted', usage: answer.usage }
      end(verdict.answer, verdict.error)
      return { kind: 'ended', usage: succeeded ? answer.usage : null }
    },
    fail(failure) {
      const kept = check?.kept()
      if (kept) end(kept.answer, kept.error)
      else end(lastAnswer(failure))
    },
    dropped: () => onEnd(undefined),
  }
  return {
    task,
    refuse: () => end(errorAnswer(400, 'invalid_json', `Line ${entry.line} of the input file is not a request.`)),
  }
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
