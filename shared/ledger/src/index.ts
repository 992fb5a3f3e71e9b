export { type Correction, correctEntry } from './correct-entry.ts'
export { type Drift, type LedgerDrift, ledgerDrift } from './ledger-drift.ts'
export { type PricesNow, readAllPrices, readPrices } from './price-book.ts'
export { spentToday } from './spent-today.ts'
