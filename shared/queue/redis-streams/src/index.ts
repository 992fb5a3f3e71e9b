export { makeRedisStreamsProvider } from './provider.ts'
