import { expect, it } from 'vitest'
import { missingWorkers } from './missing-workers.ts'

const scaled = { pool: 'a', desired: 2, stuck: false, reason: 'Up from 0 to 2: work.', ageSeconds: 5 }
const told = (of: Partial<Parameters<typeof missingWorkers>[0]>) =>
  missingWorkers({ workers: 0, waiting: 0, scaled: undefined, coldStartSeconds: undefined, ...of })

it('says of a pool whose workers do not come how many there are, were asked for and why', () => {
  expect(told({ scaled })).toBe('0 of 2 workers are there. Up from 0 to 2: work. (decided 5 s ago)')
  expect(told({ workers: 1, scaled: { ...scaled, stuck: true } })).toMatch(/^1 of 2 workers are there\. /)
  expect(told({ waiting: 3, coldStartSeconds: 90 })).toBe(
    'No worker is there and 3 jobs wait; no autoscaler has decided anything, and one takes about 90 s to come.',
  )
  expect(told({ waiting: 3, scaled: { ...scaled, desired: 0 } })).toContain('the autoscaler asks for none')
})

it('says nothing of a pool that has workers, or nothing to do', () => {
  expect(told({ workers: 1, waiting: 9 })).toBeNull()
  expect(told({ workers: 1, scaled })).toBeNull()
  expect(told({})).toBeNull()
  expect(told({ scaled: { ...scaled, desired: 0 } })).toBeNull()
})
