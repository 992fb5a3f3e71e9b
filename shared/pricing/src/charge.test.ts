import type { Usage } from '@forebay/contracts'
import { describe, expect, it } from 'vitest'
import { chargeFor, ledgerKindOf } from './charge.ts'
import { computeNano } from './compute-cost.ts'
import { formatNano } from './format-nano.ts'
import type { Price } from './price.ts'

const price = (id: number, over: Partial<Price>): Price => ({
  id,
  tenantId: null,
  model: '*',
  modelVersion: null,
  usageType: 'input',
  lane: null,
  nanoPerMillion: 1_000_000,
  currency: 'USD',
  fromMs: 0,
  toMs: null,
  ...over,
})
const used = (over: Partial<Usage>): Usage => ({
  promptTokens: 0,
  cachedTokens: null,
  completionTokens: 0,
  reasoningTokens: 0,
  ...over,
})
const charge = (prices: Price[], over: Partial<Parameters<typeof chargeFor>[0]> = {}) =>
  chargeFor({
    usage: used({ promptTokens: 10 }),
    endpoint: '/v1/chat/completions',
    lane: 'batch',
    tenantId: 'acme',
    model: 'm',
    modelVersion: 'v2',
    atMs: 1000,
    prices,
    ...over,
  })

describe('the price chosen', () => {
  const scopes: [string, Partial<Price>][] = [
    ['any', {}],
    ['a lane', { lane: 'batch' }],
    ['a model', { model: 'm' }],
    ['a model and lane', { model: 'm', lane: 'batch' }],
    ['a model version', { model: 'm', modelVersion: 'v2' }],
    ['a model version and lane', { model: 'm', modelVersion: 'v2', lane: 'batch' }],
    ['a tenant', { tenantId: 'acme' }],
    ['a tenant and lane', { tenantId: 'acme', lane: 'batch' }],
    ['a tenant and model', { tenantId: 'acme', model: 'm' }],
    ['a tenant, model and lane', { tenantId: 'acme', model: 'm', lane: 'batch' }],
  ]
  it.each(scopes.map(([name], i) => [name, i] as const))('of %s wins over all that are less specific', (_, i) => {
    const prices = scopes.slice(0, i + 1).map(([, over], id) => price(id, over))
    expect(charge(prices).priceIds).toEqual([i])
    expect(charge(prices.reverse()).priceIds).toEqual([i])
  })

  it('is never one of another tenant, model, lane or usage type', () => {
    const foreign = [
      { tenantId: 'other' },
      { model: 'other' },
      { modelVersion: 'v1' },
      { lane: 'realtime' },
      { usageType: 'output' },
    ] as const
    expect(charge(foreign.map((over, id) => price(id, over)))).toMatchObject({
      amountNano: 0,
      currency: 'USD',
      priceIds: [],
    })
  })

  it('is the one in force at the time: from its start on, until just before its end', () => {
    const prices = [price(1, { toMs: 1000 }), price(2, { fromMs: 1000, toMs: 2000 }), price(3, { fromMs: 2000 })]
    const at = (atMs: number) => charge(prices, { atMs }).priceIds
    expect([at(999), at(1000), at(1999), at(2000)]).toEqual([[1], [2], [2], [3]])
    expect(charge([price(4, { fromMs: 1001 })]).priceIds).toEqual([])
  })

  it('stays in the currency of the first that applies', () => {
    const prices = [price(1, {}), price(2, { usageType: 'output', currency: 'EUR' })]
    expect(charge(prices, { usage: used({ promptTokens: 1, completionTokens: 1 }) }).priceIds).toEqual([1])
  })
})

describe('the amount', () => {
  const all = [
    price(1, { usageType: 'input', nanoPerMillion: 1_000_000 }),
    price(2, { usageType: 'cached_input', nanoPerMillion: 100_000_000 }),
    price(3, { usageType: 'output', nanoPerMillion: 10_000_000_000 }),
    price(4, { usageType: 'reasoning', nanoPerMillion: 1_000_000_000_000 }),
    price(5, { usageType: 'embedding', nanoPerMillion: 7_000_000 }),
  ]
  const full = used({ promptTokens: 9, cachedTokens: 4, completionTokens: 8, reasoningTokens: 2 })
  const of = (ids: number[]) => all.filter((p) => ids.includes(p.id))

  it('splits prompt into uncached and cached, and completion into answer and reasoning', () => {
    expect(charge(all, { usage: full })).toMatchObject({ amountNano: 2_060_405, priceIds: [1, 2, 3, 4] })
  })

  it('falls back from cached to input and from reasoning to output', () => {
    expect(charge(of([1, 3]), { usage: full })).toMatchObject({ amountNano: 80_009, priceIds: [1, 3] })
  })

  it('charges unknown cached tokens as uncached', () => {
    expect(charge(all, { usage: used({ promptTokens: 9, cachedTokens: null }) }).amountNano).toBe(9)
  })

  it('charges embeddings at their own price, or else as input', () => {
    const embed = { usage: full, endpoint: '/v1/embeddings' } as const
    expect(charge(all, embed)).toMatchObject({ amountNano: 63, priceIds: [5] })
    expect(charge(of([1]), embed)).toMatchObject({ amountNano: 9, priceIds: [1] })
  })

  it('charges an answer that no engine computed its input as cached input, and no output', () => {
    const served = { usage: full, source: 'exact_cache' } as const
    expect(charge(all, served)).toMatchObject({ amountNano: 900, priceIds: [2] })
    expect(charge(of([1, 3]), served)).toMatchObject({ amountNano: 9, priceIds: [1] })
    expect(charge(of([1, 5]), { ...served, endpoint: '/v1/embeddings' })).toMatchObject({
      amountNano: 63,
      priceIds: [5],
    })
    expect((['engine', 'identical', 'exact_cache', 'semantic_cache'] as const).map(ledgerKindOf)).toEqual([
      'usage',
      ...Array(3).fill('cache_hit'),
    ])
  })

  it('is the sum of its items, each with the price applied', () => {
    expect(
      charge(all, { usage: full }).items.map(({ nano, price: applied, tokens, usageType }) => [
        usageType,
        tokens,
        applied?.id,
        nano,
      ]),
    ).toEqual([
      ['input', 5, 1, 5],
      ['cached_input', 4, 2, 400],
      ['output', 6, 3, 60_000],
      ['reasoning', 2, 4, 2_000_000],
    ])
  })

  it('charges no token twice when the engine reports a part larger than its whole', () => {
    const usage = used({ promptTokens: 3, cachedTokens: 50, completionTokens: 2, reasoningTokens: 70 })
    expect(charge(all, { usage }).amountNano).toBe(2_000_300)
  })

  it.each([
    [1, 499_999, 0],
    [1, 500_000, 1],
    [3, 500_000, 2],
    [3, 499_999, 1],
    [1_000_000, 1, 1],
  ])('of %d tokens at %d nano per million is %d: rounded half up, once', (tokens, nanoPerMillion, expected) => {
    expect(charge([price(1, { nanoPerMillion })], { usage: used({ promptTokens: tokens }) }).amountNano).toBe(expected)
  })

  it('is rounded once per usage type, also when two take the same price', () => {
    const usage = used({ promptTokens: 4, cachedTokens: 1 })
    expect(charge([price(1, { nanoPerMillion: 500_000 })], { usage })).toMatchObject({ amountNano: 3, priceIds: [1] })
  })

  it('is exact where floating point is not', () => {
    const usage = used({ promptTokens: 2_000_000_001 })
    expect(charge([price(1, { nanoPerMillion: 3_000_000_001 })], { usage }).amountNano).toBe(6_000_000_005_000)
    expect(() => charge([price(1, { nanoPerMillion: 2 ** 53 - 1 })], { usage })).toThrow(RangeError)
  })
})

it.each([
  [0, 'USD', '$0.00'],
  [37_500_000, 'USD', '$0.0375'],
  [1, 'USD', '$0.000000001'],
  [-1_200_000_000, 'USD', '-$1.20'],
  [12_345_000_000_000, 'EUR', '12345.00 EUR'],
])('shows %d nano %s as %s', (nano, currency, shown) => {
  expect(formatNano(nano, currency)).toBe(shown)
})

it.each([
  [3_600_000_000, 2.5, 2_500_000_000],
  [3_600, 1, 1_000],
  [1, 3.6, 1],
  [0, 9, 0],
  [null, 9, null],
  [5, undefined, null],
])('says that %s microseconds at %s an hour cost %s nano', (micros, hourly, nano) => {
  expect(computeNano(micros, hourly)).toBe(nano)
})
