import { describe, expect, it } from 'vitest'
import { afterSample, type Trust, untried } from './trust.ts'

const rules = { samplesMin: 300, errorBudget: 0.01 }
const sampled = (trust: Trust, samples: readonly boolean[]) =>
  samples.reduce((now, wrong) => afterSample(now, wrong, rules), trust)
const right = (count: number) => Array.from({ length: count }, () => false)

describe('a semantic cache', () => {
  it('serves only after enough samples with errors within the budget', () => {
    expect(sampled(untried, right(299)).state).toBe('shadow')
    expect(sampled(untried, right(300))).toEqual({ state: 'serving', samples: 0, errors: 0 })
    expect(sampled(untried, [true, true, true, ...right(297)]).state).toBe('serving')
    expect(sampled(untried, [true, true, true, true, ...right(296)]).state).toBe('shadow')
  })

  it('that was bad in shadow and became good serves at last', () => {
    const bad = sampled(
      untried,
      Array.from({ length: 100 }, () => true),
    )
    expect(sampled(bad, right(20_000)).state).toBe('serving')
  })

  it('that serves stops over the budget, and stays so', () => {
    const serving: Trust = { state: 'serving', samples: 0, errors: 0 }
    expect(sampled(serving, [true]).state).toBe('serving')
    expect(sampled(serving, [true, ...right(10), true]).state).toBe('stopped')
    expect(sampled(serving, [...right(500), true, true, true, true, true]).state).toBe('serving')
    expect(sampled({ state: 'stopped', samples: 9, errors: 9 }, right(10_000)).state).toBe('stopped')
  })
})
