export { MemoryQueue } from './driver.ts'
export { type MemoryProvider, makeMemoryProvider } from './provider.ts'
