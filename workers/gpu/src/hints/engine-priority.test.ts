import { lanes } from '@forebay/contracts'
import { expect, it } from 'vitest'
import { enginePriority } from './engine-priority.ts'

const slacks = [-60_000, 0, 1, 900, 1_000, 5_000, 60_000, 600_000, 86_400_000, 30 * 86_400_000, Number.MAX_SAFE_INTEGER]

it('puts every realtime request before every standard one, and those before every batch one', () => {
  const ranges = (['realtime', 'standard', 'batch'] as const).map((lane) =>
    slacks.map((slackMs) => enginePriority({ lane, slackMs })),
  )
  for (const [i, range] of ranges.entries()) {
    expect(range.every(Number.isSafeInteger)).toBe(true)
    expect(Math.min(...range)).toBeGreaterThan(Math.max(-1, ...(ranges[i - 1] ?? [])))
  }
})

it.each(lanes)(
  'puts what is due sooner first within the %s lane, and what is due at about the same time level',
  (lane) => {
    const priorities = slacks.map((slackMs) => enginePriority({ lane, slackMs }))
    expect(priorities).toEqual([...priorities].sort((a, b) => a - b))
    const of = (slackMs: number) => enginePriority({ lane, slackMs })
    expect(of(10_000)).toBeLessThan(of(600_000))
    expect(of(600_000)).toBeLessThan(of(86_400_000))
    expect(of(80_000_000)).toBe(of(86_400_000))
  },
)
