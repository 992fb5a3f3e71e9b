export { makeServicebusProvider } from './provider.ts'
