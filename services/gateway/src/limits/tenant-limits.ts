import { type Clock, ForebayError } from '@forebay/kernel'
import type { Caller } from '../auth/authenticator.ts'
import type { GatewayMetrics } from '../metrics.ts'
import type { CountingWindows, WindowState } from './counting-windows.ts'
import { makeLateCorrections } from './late-corrections.ts'

/** Batches a tenant may create in an hour. */
const batchesPerHour = 2_000

/** A real-time request that was let in. */
export interface Admission {
  /** OpenAI's x-ratelimit headers. */
  readonly headers: Record<string, string>
  /** Corrects the estimate by the tokens really used, a moment later. Never throws. */
  settle(tokens: number): void
}

/** Holds tenants to their requests and tokens a minute; lets all pass while the counts cannot be reached. */
export interface TenantLimits {
  /** Throws `rate_limit_exceeded`; `onHeaders` gets the x-ratelimit headers in either case. */
  admit(caller: Caller, tokens: number, onHeaders: (headers: Record<string, string>) => void): Promise<Admission>
  /** Throws `rate_limit_exceeded` when the tenant creates too many batches an hour. */
  admitBatch(caller: Caller): Promise<void>
}

/** Limits over counted windows; a tenant without limits of its own has the defaults given. */
export function makeTenantLimits(options: {
  windows: CountingWindows
  clock: Clock
  metrics: GatewayMetrics
  requestsPerMinute: number
  tokensPerMinute: number
}): TenantLimits {
  const { windows, clock, metrics } = options
  const corrections = makeLateCorrections({ windows, clock })
  const refuse = (limit: string, message: string, retryAfterMs: number): never => {
    metrics.rateLimited.inc({ limit })
    throw new ForebayError('rate_limit_exceeded', message, { retryAfterMs })
  }
  return {
    admit: async (caller, tokens, onHeaders) => {
      const requestsMax = caller.requestsPerMinute ?? options.requestsPerMinute
      const tokensMax = caller.tokensPerMinute ?? options.tokensPerMinute
      const counted = await windows.add(caller.tenantId, { requests: 1, tokens })
      const { requests, tokens: used } = counted ?? { requests: undefined, tokens: undefined }
      const windowEndsMs = used && clock.now() + used.resetMs
      const headers = { ...headersOf('requests', requestsMax, requests), ...headersOf('tokens', tokensMax, used) }
      onHeaders(headers)
      const overRequests = requests !== undefined && requests.used > requestsMax
      const overTokens = used !== undefined && used.used > tokensMax
      // What is refused uses nothing up.
      if (overRequests || overTokens) await windows.add(caller.tenantId, { requests: -1, tokens: -tokens })
      const where = `in organization ${caller.tenantId}`
      if (overRequests) {
        const text = `Rate limit reached ${where} on requests per min (RPM): Limit ${requestsMax}, Used ${requestsMax}, Requested 1. Please try again in ${shown(requests.resetMs)}.`
        refuse('requests', text, requests.resetMs)
      }
      if (overTokens && tokens > tokensMax) {
        const text = `Request too large ${where} on tokens per min (TPM): Limit ${tokensMax}, Requested ${tokens}. The input or output tokens must be reduced in order to run successfully.`
        refuse('tokens', text, used.resetMs)
      }
      if (overTokens) {
        const text = `Rate limit reached ${where} on tokens per min (TPM): Limit ${tokensMax}, Used ${used.used - tokens}, Requested ${tokens}. Please try again in ${shown(used.resetMs)}.`
        refuse('tokens', text, used.resetMs)
      }
      return {
        headers,
        settle: (actual) => corrections.add(caller.tenantId, actual - tokens, windowEndsMs),
      }
    },
    admitBatch: async (caller) => {
      const state = (await windows.add(caller.tenantId, { batches: 1 }))?.batches
      if (!state || state.used <= batchesPerHour) return
      await windows.add(caller.tenantId, { batches: -1 })
      const text = `Rate limit reached in organization ${caller.tenantId} on batches per hour: Limit ${batchesPerHour}. Please try again in ${shown(state.resetMs)}.`
      refuse('batches', text, state.resetMs)
    },
  }
}

function headersOf(what: 'requests' | 'tokens', limit: number, state: WindowState | undefined): Record<string, string> {
  return {
    [`x-ratelimit-limit-${what}`]: String(limit),
    [`x-ratelimit-remaining-${what}`]: String(Math.max(0, limit - (state?.used ?? 0))),
    [`x-ratelimit-reset-${what}`]: shown(state?.resetMs ?? 0),
  }
}

/** A wait as OpenAI writes it: 20ms, 6s, 1m30s. */
function shown(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`
  const whole = Math.ceil(ms / 1000)
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${whole % 60}s`
}
