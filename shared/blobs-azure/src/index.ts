export { openAzureBlobs } from './open-azure-blobs.ts'
