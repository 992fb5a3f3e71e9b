import { describe, expect, test } from 'vitest'
import { type PoolView, routeBatch, shouldMove } from './route-batch.ts'

const pool = (name: string, over: Partial<PoolView> = {}): PoolView => ({
  ...{ name, residency: [], models: new Set(['m']), live: true, dead: false, shut: undefined, lost: false },
  ...{ tier: 1, managed: false, spendLeft: undefined, costPerHour: undefined, proximity: 0 },
  ...over,
})
const route = (pools: PoolView[], residency: string | null = null) => {
  const { pools: found, waitingFor } = routeBatch({ model: 'm', residency }, pools)
  return { names: found.map(({ name }) => name), waitingFor }
}

describe('a batch', () => {
  test('goes to every open pool with a worker that serves its model', () => {
    const pools = [pool('a'), pool('b'), pool('c', { models: new Set(['n']) }), pool('d', { live: false })]
    expect(route([...pools, pool('e', { shut: 'is drained' })])).toEqual({ names: ['a', 'b'], waitingFor: null })
  })

  test('waits in the queues of pools without a worker only when none has one, and says so', () => {
    expect(route([pool('a', { live: false }), pool('b', { live: false })])).toEqual({
      names: ['a', 'b'],
      waitingFor: 'A worker of the pools a, b: none is heard of.',
    })
  })

  test('goes to the lowest tier with a worker, and to managed pools last, up to their cap', () => {
    const api = pool('api', { managed: true, spendLeft: 1 })
    const [first, second] = [pool('first'), pool('second', { tier: 2 })]
    const batch = { model: 'm', residency: null }
    const names = (pools: readonly PoolView[]) => pools.map(({ name }) => name)
    const whole = routeBatch(batch, [first, second, api])
    expect([names(whole.pools), names(whole.overflow)]).toEqual([['first'], ['api']])
    expect(routeBatch(batch, [{ ...first, live: false }, second])).toMatchObject({ pools: [{ name: 'second' }] })
    expect(route([{ ...first, shut: 'is drained' }, api]).names).toEqual(['api'])
    expect(
      route([
        { ...first, shut: 'is drained' },
        { ...api, spendLeft: 0 },
      ]),
    ).toEqual({
      names: [],
      waitingFor: "A pool that serves the model 'm': first is drained; api has spent its cap for today.",
    })
  })

  test('never leaves its residency: it waits, and says for what', () => {
    const eu = pool('eu', { residency: ['eu', 'de'] })
    expect(route([pool('us'), eu], 'de')).toEqual({ names: ['eu'], waitingFor: null })
    expect(route([pool('us'), { ...eu, shut: 'is drained' }], 'eu')).toEqual({
      names: [],
      waitingFor: "A pool with the residency tag 'eu' that serves the model 'm': eu is drained.",
    })
    expect(route([pool('us')], 'eu')).toEqual({
      names: [],
      waitingFor: "A pool with the residency tag 'eu' that serves the model 'm': there is none.",
    })
  })
})

describe('a chunk moves', () => {
  const alive = routeBatch({ model: 'm', residency: null }, [pool('b')])

  test('from a pool out of reach, whether a worker holds it or not', () => {
    for (const seen of [true, false]) {
      expect(shouldMove({ pool: pool('a', { lost: true }), route: alive, seen })).toBe(true)
      expect(shouldMove({ pool: undefined, route: alive, seen })).toBe(true)
    }
  })

  test('from a pool without workers when none holds it', () => {
    expect(shouldMove({ pool: pool('a', { dead: true }), route: alive, seen: false })).toBe(true)
    expect(shouldMove({ pool: pool('a', { dead: true }), route: alive, seen: true })).toBe(false)
    expect(shouldMove({ pool: pool('a'), route: alive, seen: false })).toBe(false)
  })

  test('only where another pool with a worker may run it', () => {
    const none = routeBatch({ model: 'm', residency: null }, [pool('b', { live: false })])
    expect(shouldMove({ pool: pool('a', { lost: true }), route: none, seen: false })).toBe(false)
    const itself = routeBatch({ model: 'm', residency: null }, [pool('a')])
    expect(shouldMove({ pool: pool('a', { dead: true }), route: itself, seen: false })).toBe(false)
  })
})
