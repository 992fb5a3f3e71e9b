export { startAzureBlobEmulator } from './azure-blob/azure-blob.ts'
export type { BlobEmulator } from './blob-emulator.ts'
export { startGcsEmulator } from './gcs/gcs.ts'
