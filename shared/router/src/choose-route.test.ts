import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Candidate, chooseRoute, narrow, proximity, scorePools, weightsUsual } from './index.ts'

const pool = (name: string, over: Partial<Candidate> = {}): Candidate => ({
  ...{ name, residency: [], shut: undefined, tier: 1, managed: false, spendLeft: undefined },
  ...{ latencyMs: undefined, costPerHour: undefined, load: 0, proximity: 0 },
  ...over,
})
const choose = (pools: Candidate[], over: Partial<Omit<Parameters<typeof chooseRoute>[0], 'pools'>> = {}) =>
  chooseRoute<Candidate>({ residency: null, weights: weightsUsual, spill: 'full', ...over, pools })

const arbitraryPools = fc.uniqueArray(
  fc.record<Candidate>({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    residency: fc.subarray(['eu', 'us']),
    shut: fc.option(fc.constant('is drained'), { nil: undefined, freq: 3 }),
    tier: fc.integer({ min: 1, max: 3 }),
    managed: fc.boolean(),
    spendLeft: fc.option(fc.integer({ min: -1, max: 1 }), { nil: undefined }),
    latencyMs: fc.option(fc.integer({ min: 0, max: 5_000 }), { nil: undefined }),
    costPerHour: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
    load: fc.double({ min: 0, max: 2, noNaN: true }),
    proximity: fc.constantFrom(0, 0.5, 1),
  }),
  { selector: ({ name }) => name, maxLength: 6 },
)
const arbitraryWish = fc.record({
  residency: fc.option(fc.constantFrom('eu', 'us', 'mars')),
  stickyKey: fc.option(fc.string(), { nil: undefined }),
  spill: fc.constantFrom('full' as const, 'down' as const),
  tried: fc.subarray(['a', 'b', 'c']).map((names) => new Set(names)),
})

describe('whatever the scores', () => {
  test('residency is never left, and no pool is chosen that is shut, was tried, or has spent its cap', () => {
    fc.assert(
      fc.property(arbitraryPools, arbitraryWish, (pools, wish) => {
        const { pool: chosen } = choose(pools, wish)
        if (!chosen) return
        if (wish.residency !== null) expect(chosen.residency).toContain(wish.residency)
        expect(chosen.shut).toBeUndefined()
        expect(wish.tried.has(chosen.name)).toBe(false)
        expect(chosen.spendLeft === undefined || chosen.spendLeft > 0).toBe(true)
      }),
    )
  })

  test('a pool is found whenever one may be used, and a later tier or a managed pool only when the earlier are full or down', () => {
    fc.assert(
      fc.property(arbitraryPools, arbitraryWish, (pools, wish) => {
        const usable = pools.filter(
          (one) =>
            one.shut === undefined &&
            !wish.tried.has(one.name) &&
            (one.spendLeft === undefined || one.spendLeft > 0) &&
            (wish.residency === null || one.residency.includes(wish.residency)),
        )
        const { pool: chosen } = choose(pools, wish)
        expect(chosen !== undefined).toBe(usable.length > 0)
        if (!chosen) return
        const before = usable.filter((one) =>
          one.managed === chosen.managed ? one.tier < chosen.tier : chosen.managed,
        )
        expect(before.every(({ load }) => wish.spill === 'full' && load >= 1)).toBe(true)
      }),
    )
  })

  test('the answer is the same for the same pools in any order, with every pool accounted for', () => {
    fc.assert(
      fc.property(arbitraryPools, arbitraryWish, (pools, wish) => {
        const [one, other] = [choose(pools, wish), choose([...pools].reverse(), wish)]
        expect(other.pool?.name).toBe(one.pool?.name)
        expect(other.why.split(':')[0]).toBe(one.why.split(':')[0])
        expect([...one.scores, ...one.ruledOut].map(({ name }) => name).sort()).toEqual(
          pools.map(({ name }) => name).sort(),
        )
      }),
    )
  })
})

describe('the score', () => {
  test('weighs latency, cost, load and proximity as told', () => {
    const pools = [
      pool('fast', { latencyMs: 100, costPerHour: 4, load: 0.5 }),
      pool('cheap', { latencyMs: 400, costPerHour: 1, load: 0, proximity: 1 }),
    ]
    const scores = Object.fromEntries(scorePools(pools, weightsUsual).map(({ pool, score }) => [pool.name, score]))
    expect(scores['fast']).toBeCloseTo(0.4 + 0.3 / 4 + 0.2 / 2)
    expect(scores['cheap']).toBeCloseTo(0.4 / 4 + 0.3 + 0.2 + 0.1)
    expect(choose(pools).pool?.name).toBe('cheap')
    expect(choose(pools, { weights: { latency: 1, cost: 0, load: 0, proximity: 0 } }).pool?.name).toBe('fast')
  })

  test('that is equal falls to less load, then to the name', () => {
    const weights = { latency: 1, cost: 0, load: 0, proximity: 0 }
    expect(choose([pool('b'), pool('a', { load: 0.3 }), pool('c')], { weights }).pool?.name).toBe('b')
  })

  test('is told in one sentence with its parts', () => {
    const { why, reason } = choose([pool('a'), pool('b', { load: 1.5 }), pool('c', { load: 0.5 })])
    expect(reason).toBe('score')
    expect(why).toBe('a: the best score of 2 pools, 0.75 (latency 1.00, cost 0.50, load 1.00, proximity 0.00).')
  })
})

describe('a prefix', () => {
  const three = ['a', 'b', 'c'].map((name) => pool(name))
  const keys = Array.from({ length: 60 }, (_, i) => `prefix ${i}`)

  test('keeps its pool, prefixes are spread, and a pool that goes moves only its own', () => {
    const at = (pools: Candidate[]) => keys.map((stickyKey) => choose(pools, { stickyKey }).pool?.name)
    const before = at(three)
    expect(new Set(before).size).toBe(3)
    const after = at(three.filter(({ name }) => name !== 'b'))
    expect(after.map((name, i) => (before[i] === 'b' ? 'b' : name))).toEqual(before)
  })

  test('does not keep a pool that is much worse than the best', () => {
    const [, ...rest] = three
    const pools = [pool('a', { latencyMs: 1_000 }), ...rest.map((one) => ({ ...one, latencyMs: 100 }))]
    expect(keys.some((stickyKey) => choose(pools, { stickyKey }).pool?.name === 'a')).toBe(false)
  })
})

describe('tiers and managed pools', () => {
  const pools = (over: Partial<Candidate>) => [
    pool('first', over),
    pool('second', { tier: 2, latencyMs: 1 }),
    pool('api', { managed: true, spendLeft: 1 }),
  ]

  test('are used in order, and say why', () => {
    expect(choose(pools({ latencyMs: 900 })).pool?.name).toBe('first')
    expect(choose(pools({ shut: 'is drained' }))).toMatchObject({
      pool: { name: 'second' },
      reason: 'failover',
      why: 'second: failover: every pool below tier 2 is full or down; no other pool may run it.',
    })
    const full = [pool('first', { load: 1 }), pool('api', { managed: true, spendLeft: 1 })]
    expect(choose(full)).toMatchObject({ pool: { name: 'api' }, reason: 'overflow' })
    expect(choose(full, { spill: 'down' })).toMatchObject({ pool: { name: 'first' }, reason: 'only' })
  })

  test('hold their cap: when it is spent, one waits in the first tier of the own pools', () => {
    const spent = [pool('first', { load: 1 }), pool('api', { managed: true, spendLeft: 0 })]
    expect(choose(spent)).toMatchObject({ pool: { name: 'first' }, reason: 'full' })
    expect(choose(spent).ruledOut).toEqual([{ name: 'api', reason: 'has spent its cap for today' }])
  })

  test('for work that waits anyhow, managed pools are told apart as overflow', () => {
    const { among, overflow } = narrow(pools({ load: 1 }), { residency: null, spill: 'down' })
    expect([among, overflow].map((list) => list.map(({ name }) => name))).toEqual([['first'], ['api']])
  })

  test('none at all says what rules each out', () => {
    const { why } = choose([pool('a', { shut: 'is drained' }), pool('b', { residency: ['us'] })], { residency: 'us' })
    expect(why).toBe('b: no other pool may run it.')
    expect(choose([pool('a')], { residency: 'us' }).why).toBe(
      "No pool can be used: a does not carry the residency tag 'us'.",
    )
    expect(choose([]).why).toBe('No pool serves the model.')
  })
})

describe('a model that sleeps in some pools', () => {
  const asleep = { asleep: true, latencyMs: 100 }

  test('is answered where it is awake, when that is about as good; the reason says so', () => {
    const { pool: chosen, why } = choose([pool('a', asleep), pool('b', { latencyMs: 120 })])
    expect(chosen?.name).toBe('b')
    expect(why).toMatch(/^b: has the model awake, near the best score of 2 pools/)
    // Not where that is much worse, nor where it sleeps everywhere.
    expect(choose([pool('a', asleep), pool('b', { latencyMs: 1_000 })]).pool?.name).toBe('a')
    expect(choose([pool('a', asleep), pool('b', { asleep: true, latencyMs: 120 })]).pool?.name).toBe('a')
  })

  test('keeps prefixes together among the pools where it is awake', () => {
    const pools = [pool('a', { asleep: true }), pool('b'), pool('c')]
    const chosen = Array.from({ length: 40 }, (_, i) => choose(pools, { stickyKey: `prefix ${i}` }).pool?.name)
    expect(new Set(chosen)).toEqual(new Set(['b', 'c']))
  })
})

test('a pool is near in the same region, half as near in the same cloud', () => {
  const home = { cloud: 'aws', region: 'eu-1' }
  expect(proximity(home, { cloud: 'aws', region: 'eu-1' })).toBe(1)
  expect(proximity(home, { cloud: 'aws', region: 'us-1' })).toBe(0.5)
  expect(proximity(home, { cloud: 'gcp', region: 'eu-1' })).toBe(0)
  const unsaid = { cloud: undefined, region: undefined }
  expect(proximity(unsaid, unsaid)).toBe(0)
})
