export { type Charge, type ChargeItem, chargeFor, ledgerKindOf } from './charge.ts'
export { computeNano } from './compute-cost.ts'
export { formatNano } from './format-nano.ts'
export { type Price, type PriceScope, priceFor, type UsageType } from './price.ts'
