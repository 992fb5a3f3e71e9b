import type { Clock } from '@forebay/kernel'
import type { DecisionBook } from '../decision-book.ts'

// One target unit is one worker: what KEDA divides by, it gets back as replicas.
const target = 1

/**
 * `GET /pools/{name}/scale`, for KEDA's `metrics-api` with `valueLocation: value` and `targetValue: "1"`. 404 for a pool
 * that nothing was decided for, so that KEDA's own fallback holds.
 */
export function makeScaleRoute(options: { decisions: DecisionBook; clock: Clock }) {
  return async (path: string): Promise<{ status: number; body: object } | undefined> => {
    const name = /^\/pools\/([^/]+)\/scale$/.exec(path)?.[1]
    if (name === undefined) return undefined
    const standing = options.decisions.get(decodeURIComponent(name))
    if (!standing) {
      const message = `Nothing was decided for a pool '${name.slice(0, 63)}': it is not configured, or the autoscaler has just started.`
      return {
        status: 404,
        body: { error: { message, type: 'invalid_request_error', param: 'name', code: 'not_found' } },
      }
    }
    const { decidedAtMs, desired, outstandingTokens, pool, ready, reason } = standing
    const ageSeconds = Math.max(0, Math.round((options.clock.now() - decidedAtMs) / 1000))
    return {
      status: 200,
      body: {
        pool,
        value: desired,
        target,
        ready,
        outstanding_tokens: outstandingTokens,
        reason,
        age_seconds: ageSeconds,
      },
    }
  }
}
