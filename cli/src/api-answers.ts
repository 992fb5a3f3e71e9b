import { backoffMs } from '@forebay/kernel'
import type { Dispatcher } from 'undici'
import { type ExitCode, exitCodes, Failure } from './failure.ts'

const triesMax = 3
const retryWaitMsMax = 30_000

/** An answer of the API that is an error; knows whether and when to try again. */
export class ApiFailure extends Failure {
  readonly status: number
  readonly retryAfterMs: number | undefined
  readonly retryable: boolean

  constructor(response: Dispatcher.ResponseData, body: unknown) {
    const error = fieldOf(body, 'error')
    const text = fieldOf(error, 'message')
    const code = fieldOf(error, 'code')
    const param = fieldOf(error, 'param')
    const status = response.statusCode
    const message =
      typeof text === 'string' ? text : `The server answered ${status}, and nothing that Forebay would say.`
    super(exitCodeOf(status, code), message, {
      code: typeof code === 'string' ? code : null,
      param: typeof param === 'string' ? param : null,
    })
    this.status = status
    const seconds = Number(response.headers['retry-after'])
    this.retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined
    this.retryable =
      response.headers['x-should-retry'] !== 'false' &&
      ([408, 429, 500, 502, 503, 504].includes(status) || code === 'idempotency_in_progress')
  }
}

/** Reads an error answer. */
export async function readFailure(response: Dispatcher.ResponseData): Promise<ApiFailure> {
  const text = await response.body.text()
  return new ApiFailure(response, parse(text))
}

/** Reads an answer's JSON; a Failure when what answers is not the API. */
export async function readJson(response: Dispatcher.ResponseData, url: string): Promise<unknown> {
  const body = parse(await response.body.text())
  if (body !== undefined) return body
  throw new Failure(exitCodes.other, `What answers at ${url} is not the Forebay API. Check FOREBAY_URL or --url.`)
}

/** How long to wait before trying a failed call again; undefined when that is in vain. */
export function retryWaitMs(err: unknown, tries: number): number | undefined {
  if (tries >= triesMax || !isPassing(err)) return undefined
  const waitMs = err instanceof ApiFailure ? err.retryAfterMs : undefined
  if (waitMs !== undefined && waitMs > retryWaitMsMax) return undefined
  return waitMs ?? backoffMs(tries, { firstMs: 250, maxMs: 4_000 })
}

/** True when the same call may well succeed a little later. */
export function isPassing(err: unknown): boolean {
  return err instanceof ApiFailure ? err.retryable : err instanceof Failure && err.exitCode === exitCodes.network
}

function exitCodeOf(status: number, code: unknown): ExitCode {
  if (status === 401 || status === 403) return exitCodes.auth
  if (status === 402 || status === 429 || code === 'insufficient_quota') return exitCodes.quota
  return exitCodes.other
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
