export { type Charge, chargeFor } from './charge.ts'
export { formatNano } from './format-nano.ts'
export { type Price, type PriceScope, priceFor, type UsageType } from './price.ts'
