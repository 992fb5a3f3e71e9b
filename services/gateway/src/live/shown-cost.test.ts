import type { Price } from '@forebay/pricing'
import { expect, it } from 'vitest'
import { costOf, eventWithCost, type PricedRequest, wantsCost, withCost } from './shown-cost.ts'

const price = (over: Partial<Price>): Price => ({
  ...{ id: 1, tenantId: null, model: '*', modelVersion: null, usageType: 'input', lane: null },
  ...{ nanoPerMillion: 1_000_000, currency: 'USD', fromMs: 0, toMs: null },
  ...over,
})
const request: PricedRequest = {
  ...{ tenantId: 'acme', endpoint: '/v1/chat/completions', model: 'm', lane: 'realtime', source: 'engine' },
  ...{ modelVersions: [], atMs: 1000 },
}
const usage = { promptTokens: 30, cachedTokens: null, completionTokens: 0, reasoningTokens: 0 }
const cost = (prices: Price[], over: Partial<PricedRequest> = {}) => costOf({ ...request, ...over }, usage, prices)
const nothing = { cost: null, cost_nano: null, cost_currency: null }

it('prices by the price book, and says null where no price is in force', () => {
  expect(cost([price({ currency: 'EUR' })])).toEqual({ cost: 30e-9, cost_nano: 30, cost_currency: 'EUR' })
  expect(cost([price({ nanoPerMillion: 0 })])).toMatchObject({ cost: 0, cost_nano: 0 })
  expect(cost([])).toEqual(nothing)
  expect(cost([price({ fromMs: 1001 })])).toEqual(nothing)
  expect(cost([price({ tenantId: 'other' })])).toEqual(nothing)
})

it('says null where the price depends on which of several versions answered, and else the price of all', () => {
  const prices = [price({}), price({ id: 2, modelVersion: 'b', nanoPerMillion: 2_000_000 })]
  expect(cost(prices, { modelVersions: ['b'] }).cost_nano).toBe(60)
  expect(cost(prices, { modelVersions: ['a', 'b'] })).toEqual(nothing)
  expect(cost(prices, { modelVersions: ['a', 'c'] }).cost_nano).toBe(30)
})

it('adds to the usage of an answer or event alone, and leaves what states no usage byte for byte', () => {
  const shown = { cost: 30e-9, cost_nano: 30, cost_currency: 'USD' }
  const add = () => shown
  const text = '{"id":"x","usage":{"prompt_tokens":30,"completion_tokens":0,"total_tokens":30}}'
  const usageShown = { prompt_tokens: 30, completion_tokens: 0, total_tokens: 30, ...shown }
  expect(JSON.parse(withCost(text, add))).toEqual({ id: 'x', usage: usageShown })
  const event = eventWithCost(`data: ${text}\r\n\r\n`, add)
  expect(event).toBe(`data: ${JSON.stringify({ id: 'x', usage: usageShown })}\n\n`)
  for (const other of ['{"error": {"message":"x"}}', '{"usage": null}', 'no JSON', ''])
    expect(withCost(other, add)).toBe(other)
})

it('is wanted by the header alone', () => {
  expect([{ 'x-forebay-include-cost': 'True' }, { 'x-forebay-include-cost': 'false' }, {}].map(wantsCost)).toEqual([
    ...[true, false, false],
  ])
})
