export { type LedgerDrift, ledgerDrift } from './ledger-drift.ts'
export { seedPrices } from './seed-prices.ts'
export { startResults } from './start-results.ts'
