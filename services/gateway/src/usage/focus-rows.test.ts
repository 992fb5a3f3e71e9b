import type { Price } from '@forebay/pricing'
import { expect, it } from 'vitest'
import type { LedgerRow } from '../admin/ledger-object.ts'
import { csvLine, focusRows } from './focus-rows.ts'

const price = (id: number, usageType: Price['usageType'], nanoPerMillion: number): [number, Price] => [
  id,
  {
    id,
    tenantId: null,
    model: '*',
    modelVersion: null,
    usageType,
    lane: null,
    nanoPerMillion,
    currency: 'USD',
    fromMs: 9e15,
    toMs: null,
  },
]
const prices = new Map([price(1, 'input', 150_000_000), price(2, 'output', 600_000_000)])
const entry = (over: Partial<LedgerRow> = {}): LedgerRow => ({
  id: 1,
  request_id: 'req_1',
  kind: 'usage',
  tenant_id: 'acme',
  project_id: 'search',
  api_key_id: 'key_1',
  batch_id: null,
  model: 'm',
  model_version: null,
  pool: 'p',
  lane: 'realtime',
  prompt_tokens: 100,
  cached_tokens: null,
  completion_tokens: 10,
  reasoning_tokens: 0,
  amount_nano: 21_000,
  currency: 'USD',
  gpu_micros: null,
  compute_nano: null,
  price_ids: ['1', '2'],
  corrects: null,
  reason: null,
  occurred_at: new Date('2026-05-01T00:00:00Z'),
  ...over,
})

it('gives a row per usage type, whose costs are together what the ledger charged', () => {
  expect(focusRows(entry(), prices)).toMatchObject([
    {
      BilledCost: '0.000015000',
      ConsumedQuantity: '100.0',
      ListUnitPrice: '0.00000015',
      PricingUnit: 'tokens',
      SkuId: 'm/realtime/input',
      SubAccountId: 'search',
      SkuPriceId: 'price-1',
      BillingPeriodStart: '2026-05-01T00:00:00Z',
      BillingPeriodEnd: '2026-06-01T00:00:00Z',
    },
    {
      BilledCost: '0.000006000',
      ConsumedQuantity: '10.0',
      SkuId: 'm/realtime/output',
      ChargePeriodStart: '2026-05-01T00:00:00Z',
    },
  ])
})

it('never lets the split differ from the amount: what does not add up is one row', () => {
  expect(focusRows(entry({ amount_nano: 5 }), prices)).toMatchObject([
    { BilledCost: '0.000000005', ChargeCategory: 'Usage' },
  ])
})

it('shows corrections as such, and idle time not at all', () => {
  const credit = entry({
    kind: 'credit',
    amount_nano: -1_500_000_000,
    reason: 'outage',
    corrects: 1,
    model: null,
    price_ids: [],
  })
  expect(focusRows(credit, prices)).toMatchObject([
    { BilledCost: '-1.500000000', ChargeCategory: 'Credit', ChargeClass: 'Correction', ChargeDescription: 'outage' },
  ])
  expect(focusRows(entry({ kind: 'idle' }), prices)).toEqual([])
})

it('quotes what CSV needs quoted, and disarms what a spreadsheet would run', () => {
  expect(csvLine(['a,b', 'c"d', null, -5, '-0.5', '=1+1', '@x', '-x'])).toBe(`"a,b","c""d",,-5,-0.5,'=1+1,'@x,'-x\n`)
})
