export { makeBullmqProvider } from './provider.ts'
