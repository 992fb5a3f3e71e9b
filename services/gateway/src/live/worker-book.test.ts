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
  const serving = (model = 'm') => book.serving(model).map(({ name, seats, taken }) => `${name} ${seats} ${taken}`)
  return { announce, book, clock, serving }
}

it('knows which pools serve a model, as was announced last and for as long as workers were heard of lately', async () => {
  const { announce, clock, serving } = start()
  announce('a')
  announce('b', { pool: 'q', models: [{ id: 'other', contextTokens: null }] })
  expect([serving(), serving('other'), serving('none')]).toEqual([['p 8 0'], ['q 8 0'], []])
  await clock.advance(2_000)
  announce('b', { pool: 'q', healthy: false })
  expect([serving(), serving('other')]).toEqual([['p 8 0'], []])
  await clock.advance(4_000)
  expect(serving()).toEqual(['p 8 0'])
  await clock.advance(1)
  expect(serving()).toEqual([])
  announce('a')
  announce('c', { inFlight: { realtime: 3, standard: 1, batch: 400 } })
  expect(serving()).toEqual(['p 16 0.5'])
  announce('c', { draining: true })
  expect(serving()).toEqual(['p 8 0'])
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
