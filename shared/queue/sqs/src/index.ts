export { makeSqsProvider } from './provider.ts'
