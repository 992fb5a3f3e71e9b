export { makePubsubProvider } from './provider.ts'
