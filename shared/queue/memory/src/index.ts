export { MemoryQueue } from './driver.ts'
export { makeMemoryProvider } from './provider.ts'
