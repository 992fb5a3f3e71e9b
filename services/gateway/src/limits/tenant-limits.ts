import { type Clock, ForebayError } from '@forebay/kernel'
import type { Caller } from '../auth/authenticator.ts'
import type { GatewayMetrics } from '../metrics.ts'
import type { WindowState } from './allowance.ts'
import { Allowances } from './allowances.ts'
import type { CountingWindows } from './window.ts'

/** Batches a tenant may create in an hour. */
const batchesPerHour = 2_000

/** A real-time request that was let in. */
export interface Admission {
  /** Corrects the estimate by the tokens really used. Never throws. */
  settle(tokens: number): void
}

/** Holds tenants to their requests and tokens a minute; lets all pass while the counts cannot be reached. */
export interface TenantLimits {
  /** Throws `rate_limit_exceeded`; `onHeaders` gets OpenAI's x-ratelimit headers in either case. */
  admit(caller: Caller, tokens: number, onHeaders: (headers: Record<string, string>) => void): Promise<Admission>
  /** Throws `rate_limit_exceeded` when the tenant creates too many batches an hour. */
  admitBatch(caller: Caller): Promise<void>
  /** Gives back what was counted in advance. To be called before the windows are closed. */
  stop(): Promise<void>
}

/** Limits over counted windows; a tenant without limits of its own has the defaults given. */
export function makeTenantLimits(options: {
  windows: CountingWindows
  clock: Clock
  metrics: GatewayMetrics
  requestsPerMinute: number
  tokensPerMinute: number
}): TenantLimits {
  const { windows, metrics } = options
  const allowances = new Allowances(options)
  const refuse = (limit: string, message: string, retryAfterMs: number): never => {
    metrics.rateLimited.inc({ limit })
    throw new ForebayError('rate_limit_exceeded', message, { retryAfterMs })
  }
  return {
    admit: async (caller, tokens, onHeaders) => {
      const { tenantId } = caller
      const requestsMax = caller.requestsPerMinute ?? options.requestsPerMinute
      const tokensMax = caller.tokensPerMinute ?? options.tokensPerMinute
      const verdict = await allowances.admit(tenantId, tokens, { requests: requestsMax, tokens: tokensMax })
      onHeaders(headersOf({ requests: requestsMax, tokens: tokensMax }, verdict))
      if (!verdict) return { settle: () => {} }
      metrics.limitDecisions.inc({ by: verdict.by })
      const { requests, tokens: used } = verdict
      if (verdict.letIn) {
        return { settle: (actual) => allowances.correct(tenantId, actual - tokens, verdict.window) }
      }
      const where = `in organization ${tenantId}`
      if (requests.used + 1 > requestsMax) {
        const text = `Rate limit reached ${where} on requests per min (RPM): Limit ${requestsMax}, Used ${requestsMax}, Requested 1. Please try again in ${shown(requests.resetMs)}.`
        return refuse('requests', text, requests.resetMs)
      }
      if (tokens > tokensMax) {
        const text = `Request too large ${where} on tokens per min (TPM): Limit ${tokensMax}, Requested ${tokens}. The input or output tokens must be reduced in order to run successfully.`
        return refuse('tokens', text, used.resetMs)
      }
      const text = `Rate limit reached ${where} on tokens per min (TPM): Limit ${tokensMax}, Used ${used.used}, Requested ${tokens}. Please try again in ${shown(used.resetMs)}.`
      return refuse('tokens', text, used.resetMs)
    },
    admitBatch: async (caller) => {
      const ask = { need: 1, spare: 0, owed: 0, of: 0, limit: batchesPerHour }
      const taken = (await windows.take(caller.tenantId, { batches: ask }))?.batches
      if (!taken || taken.granted > 0) return
      const text = `Rate limit reached in organization ${caller.tenantId} on batches per hour: Limit ${batchesPerHour}. Please try again in ${shown(taken.resetMs)}.`
      refuse('batches', text, taken.resetMs)
    },
    stop: () => allowances.stop(),
  }
}

function headersOf(
  limits: { requests: number; tokens: number },
  states: { requests: WindowState; tokens: WindowState } | undefined,
): Record<string, string> {
  const { requests, tokens } = states ?? { requests: undefined, tokens: undefined }
  return {
    'x-ratelimit-limit-requests': String(limits.requests),
    'x-ratelimit-remaining-requests': String(Math.max(0, limits.requests - (requests?.used ?? 0))),
    'x-ratelimit-reset-requests': shown(requests?.resetMs ?? 0),
    'x-ratelimit-limit-tokens': String(limits.tokens),
    'x-ratelimit-remaining-tokens': String(Math.max(0, limits.tokens - (tokens?.used ?? 0))),
    'x-ratelimit-reset-tokens': shown(tokens?.resetMs ?? 0),
  }
}

/** A wait as OpenAI writes it: 20ms, 6s, 1m30s. */
function shown(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`
  const whole = Math.ceil(ms / 1000)
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${whole % 60}s`
}
