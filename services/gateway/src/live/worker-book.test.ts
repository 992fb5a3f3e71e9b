import type { Announcement } from '@forebay/contracts'
import { ManualClock } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { WorkerBook } from './worker-book.ts'

function start() {
  const clock = new ManualClock()
  const book = new WorkerBook({ clock })
  const announce = (workerId: string, told: Partial<Announcement> = {}) =>
    book.heard({
      ...{ workerId, pool: 'p', engine: 'vllm', engineUrl: '', models: [{ id: 'm', contextTokens: null }] },
      ...{ healthy: true, draining: false, inFlight: { realtime: 0, standard: 0, batch: 0 }, inFlightMax: 8 },
      ...{ tokensPerSecond: 0, atMs: clock.now(), ...told },
    })
  const serving = (model = 'm') => book.serving(model).map(({ workerId }) => workerId)
  return { announce, book, clock, serving }
}

it('knows who serves a model, as it was announced last and for as long as it was heard of lately', async () => {
  const { announce, clock, serving } = start()
  announce('a')
  announce('b', { models: [{ id: 'other', contextTokens: null }] })
  expect([serving(), serving('other'), serving('none')]).toEqual([['a'], ['b'], []])
  await clock.advance(2_000)
  announce('b', { healthy: false })
  expect([serving(), serving('other')]).toEqual([['a'], []])
  await clock.advance(4_000)
  expect(serving()).toEqual(['a'])
  await clock.advance(1)
  expect(serving()).toEqual([])
  announce('a')
  announce('c')
  expect(serving()).toEqual(['a', 'c'])
  announce('c', { draining: true })
  expect(serving()).toEqual(['a'])
})

it('tells until when a worker lived that fell silent, but for those that said they leave', async () => {
  const { announce, book, clock } = start()
  const startMs = clock.now()
  announce('a')
  announce('leaves', { pool: 'q', draining: true })
  await clock.advance(6_000)
  expect(book.lostMs('p')).toBe(Number.NEGATIVE_INFINITY)
  await clock.advance(1)
  expect([book.lostMs('p'), book.lostMs('q')]).toEqual([startMs + 2_000, Number.NEGATIVE_INFINITY])
  announce('b')
  await clock.advance(7_000)
  announce('c')
  expect(book.lostMs('p')).toBe(startMs + 8_001)
})
