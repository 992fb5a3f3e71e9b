import type { Lane } from '@forebay/contracts'
import type { Clock, Running } from '@forebay/kernel'
import { describeError } from '@forebay/kernel'
import type { CallSignal } from './call-abort.ts'
import { Connections } from './connections.ts'
import { type Answer, type Failure, judge, retryAfterMsOf } from './outcome.ts'
import { askWhole, headerOf, type WholeAnswer } from './whole-answer.ts'

/** One request to the engine. */
export interface EngineCall {
  /** Sent as X-Request-Id. */
  requestId: string
  /** Such as `/v1/chat/completions`. */
  path: string
  /** Sent byte for byte. */
  body: Buffer
  /** Whose engine it goes to, where there are several. */
  model: string
  lane: Lane
  tenantId: string
  /** When the answer is due (epoch ms). */
  deadlineMs: number
  /** Longest wait for the first byte. */
  limitMs: number
  /** Expected length of its answer, or what was planned for it if that is longer. */
  outputTokens: number
  /** Its abort cuts the connection, at which an engine frees the seat; the call then rejects with the reason. */
  signal: CallSignal
}

/** What a stream tells as it comes. */
export interface StreamSink {
  onHead(status: number, contentType: string): void
  /** Answers false to end the stream here: the connection is cut. */
  onBytes(bytes: Buffer): boolean
}

/** HTTP to one engine. Never throws for what the engine does wrong: that is a Failure. */
export interface EngineClient extends Running {
  call(call: EngineCall): Promise<Answer | Failure>
  /** Relays a 2xx event stream to the sink and answers `streamed` at its end; any other answer comes back whole. */
  stream(call: EngineCall, sink: StreamSink): Promise<Answer | Failure | { kind: 'streamed' }>
  /** A small question beside the requests, on a connection of its own. Rejects when there is no answer in time. */
  ask(path: string, options?: { timeoutMs?: number; body?: unknown }): Promise<EngineReply>
}

/** A small answer. */
export interface EngineReply {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

const refusedCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
])
const timeoutCodes = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])

/** Opens keep-alive connections; nothing is sent before the first call. `url` may have a path, without /v1. */
export function openEngineClient(options: {
  url: string
  apiKey?: string | undefined
  connections: number
  /** Longest silence within an answer that has begun. */
  idleMs: number
  clock: Clock
}): EngineClient {
  const { clock, idleMs } = options
  const { origin, pathname } = new URL(options.url)
  const base = pathname.replace(/\/+$/, '')
  const client = { connect: { timeout: 5_000 } }
  const pool = new Connections({ origin, client, max: options.connections })
  const side = new Connections({ origin, client, max: 2 })
  const authorization = options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }
  const fixed = Object.entries({ 'content-type': 'application/json', ...authorization }).flat()

  const post = (call: EngineCall) => ({
    method: 'POST' as const,
    path: base + call.path,
    headers: [...fixed, 'x-request-id', call.requestId],
    body: call.body,
    headersTimeout: call.limitMs,
    bodyTimeout: idleMs,
  })

  const judged = ({ body, headers, statusCode: status }: WholeAnswer) =>
    judge({
      status,
      contentType: headerOf(headers, 'content-type').toLowerCase(),
      retryAfterMs:
        status < 300 ? undefined : retryAfterMsOf((name: string) => headerOf(headers, name) || undefined, clock.now()),
      body,
    })

  const failed = (call: EngineCall, err: unknown): Failure => {
    call.signal.throwIfAborted()
    return connectionFailure(err)
  }

  return {
    async call(call) {
      try {
        return judged(await askWhole(pool, post(call), call.signal))
      } catch (err) {
        return failed(call, err)
      }
    },
    async stream(call, sink) {
      try {
        const { body, headers, statusCode } = await pool.request({ ...post(call), signal: realSignal(call.signal) })
        const contentType = textOf(headers['content-type'])?.toLowerCase() ?? ''
        if (statusCode !== 200 || !contentType.startsWith('text/event-stream')) {
          const retryAfterMs = retryAfterMsOf((name) => textOf(headers[name]), clock.now())
          return judge({ status: statusCode, contentType, retryAfterMs, body: Buffer.from(await body.arrayBuffer()) })
        }
        sink.onHead(statusCode, contentType)
        for await (const bytes of body) if (!sink.onBytes(bytes as Buffer)) break
        return { kind: 'streamed' }
      } catch (err) {
        return failed(call, err)
      }
    },
    async ask(path, { timeoutMs = 3_000, body } = {}) {
      const response = await side.request({
        method: body === undefined ? 'GET' : 'POST',
        path: base + path,
        headers: { ...authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      })
      return { status: response.statusCode, headers: response.headers, text: await response.body.text() }
    },
    async stop() {
      await Promise.all([pool.destroy(), side.destroy()])
    },
  }
}

/** For undici, which knows no other. */
function realSignal(signal: CallSignal): AbortSignal {
  const abort = new AbortController()
  const follow = () => abort.abort(signal.reason)
  if (signal.aborted) follow()
  else signal.addEventListener('abort', follow, { once: true })
  return abort.signal
}

function connectionFailure(err: unknown): Failure {
  const codes = codesOf(err)
  if (codes.some((code) => refusedCodes.has(code))) {
    return { kind: 'failure', reason: 'down', status: 502, message: 'The engine cannot be reached.' }
  }
  if (codes.some((code) => timeoutCodes.has(code))) {
    return { kind: 'failure', reason: 'timeout', status: 504, message: 'The engine did not answer in time.' }
  }
  const detail = describeError(err).slice(0, 200)
  return { kind: 'failure', reason: 'lost', status: 502, message: `The connection to the engine broke: ${detail}.` }
}

/** True when the engine's port answers nobody. */
export function isRefused(err: unknown): boolean {
  return codesOf(err).some((code) => refusedCodes.has(code))
}

function codesOf(err: unknown): string[] {
  if (!(err instanceof Error)) return []
  const own = 'code' in err && typeof err.code === 'string' ? [err.code] : []
  const inner = err instanceof AggregateError ? err.errors.flatMap(codesOf) : []
  return [...own, ...inner, ...codesOf(err.cause)]
}

function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
