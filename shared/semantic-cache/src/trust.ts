/** How far a tenant's cache of a model is trusted: it measures, it serves, or it was found wrong too often. */
export type TrustState = 'shadow' | 'serving' | 'stopped'

/** What was measured since the state began. */
export interface Trust {
  state: TrustState
  samples: number
  errors: number
}

/** When a cache is trusted. */
export interface TrustRules {
  /** Samples that a shadow needs before it serves. With none wrong, 300 bound the error rate by 1 % at 95 %. */
  samplesMin: number
  /** The share of wrong answers that is too much beyond it. */
  errorBudget: number
}

/** How far nothing is trusted yet. */
export const untried: Trust = { state: 'shadow', samples: 0, errors: 0 }

/**
 * What one more sample does:
 *
 *   shadow ──enough samples, errors within the budget──▶ serving ──errors over the budget──▶ stopped ──by hand──▶ shadow
 *
 * Old samples fade: at four times the number needed, all counts are halved.
 */
export function afterSample(trust: Trust, wrong: boolean, rules: TrustRules): Trust {
  const fade = trust.samples + 1 >= rules.samplesMin * 4
  const samples = fade ? Math.ceil((trust.samples + 1) / 2) : trust.samples + 1
  const errors = fade ? Math.ceil((trust.errors + (wrong ? 1 : 0)) / 2) : trust.errors + (wrong ? 1 : 0)
  if (trust.state === 'shadow' && samples >= rules.samplesMin && errors <= rules.errorBudget * samples)
    return { state: 'serving', samples: 0, errors: 0 }
  // A first error of few samples is no rate yet.
  const over = errors > rules.errorBudget * Math.max(samples, 1 / rules.errorBudget)
  if (trust.state === 'serving' && over) return { state: 'stopped', samples, errors }
  return { state: trust.state, samples, errors }
}
