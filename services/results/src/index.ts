export { seedPrices } from './seed-prices.ts'
export { startResults } from './start-results.ts'
