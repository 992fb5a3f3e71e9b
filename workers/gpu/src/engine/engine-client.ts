import type { Lane } from '@forebay/contracts'
import type { Clock, Running } from '@forebay/kernel'
import { describeError } from '@forebay/kernel'
import { Pool } from 'undici'
import type { CallSignal } from './call-abort.ts'
import { type Answer, type Failure, judge, retryAfterMsOf } from './outcome.ts'
import { askWhole, type WholeAnswer } from './whole-answer.ts'

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

/** Opens pools of keep-alive connections; nothing is sent before the first call. `url` may have a path, without /v1. */
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
  const common = { pipelining: 1, connect: { timeout: 5_000 } }
  const pool = new Pool(origin, { ...common, connections: options.connections })
  const side = new Pool(origin, { ...common, connections: 2 })
  const authorization = options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }

  const post = (call: EngineCall) => ({
    method: 'POST' as const,
    path: base + call.path,
    headers: { 'content-type': 'application/json', 'x-request-id': call.requestId, ...authorization },
    body: call.body,
    headersTimeout: call.limitMs,
    bodyTimeout: idleMs,
  })

  const judged = ({ statusCode, headers, body }: WholeAnswer) =>
    judge({
      status: statusCode,
      contentType: headerText(headers['content-type']),
      retryAfterMs: retryAfterMsOf(headers, clock.now()),
      body,
    })

  const attempt = async <T>(call: EngineCall, run: () => Promise<T>): Promise<T | Failure> => {
    try {
      return await run()
    } catch (err) {
      call.signal.throwIfAborted()
      return connectionFailure(err)
    }
  }

  return {
    call: (call) => attempt(call, async () => judged(await askWhole(pool, post(call), call.signal))),
    stream: (call, sink) =>
      attempt(call, async () => {
        const response = await pool.request({ ...post(call), signal: realSignal(call.signal) })
        const contentType = headerText(response.headers['content-type'])
        const isStream = contentType.startsWith('text/event-stream')
        if (response.statusCode !== 200 || !isStream) {
          return judged({ ...response, body: Buffer.from(await response.body.arrayBuffer()) })
        }
        sink.onHead(response.statusCode, contentType)
        for await (const bytes of response.body) if (!sink.onBytes(bytes as Buffer)) break
        return { kind: 'streamed' }
      }),
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

function headerText(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value)?.toLowerCase() ?? ''
}
