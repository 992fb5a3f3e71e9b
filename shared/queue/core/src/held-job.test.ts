import { expect, it } from 'vitest'
import { HeldJob } from './held-job.ts'

const lease = { id: 'a', body: new Uint8Array(), attributes: {}, attempt: 1, enqueuedAt: 0, leaseUntil: 0 }
const held = () => new HeldJob({ lease, job: 1, attempt: 1, enqueuedAt: 0 })

it('tells everybody who still listens of a loss, once, and the signal with them', () => {
  const job = held()
  const told: string[] = []
  job.onLost(() => told.push('first'))
  const leave = job.onLost(() => told.push('left'))
  job.onLost(() => told.push('third'))
  leave()
  job.lose()
  job.lose()
  expect(told).toEqual(['first', 'third'])
  expect(job.lost.aborted).toBe(true)
})

it('tells nobody who has left, and at once whoever comes after the loss', () => {
  const job = held()
  const told: string[] = []
  job.onLost(() => told.push('left'))()
  job.lose()
  job.onLost(() => told.push('late'))
  expect(told).toEqual(['late'])
})
