export type { BlobEmulator } from './blob-emulator.ts'
export type { Emulator } from './emulator.ts'
export { startGcsEmulator } from './gcs/gcs.ts'
export { type SqsEmulator, startSqsEmulator } from './sqs.ts'
