export { openFolderBlobs } from './folder.ts'
export { openBlobs } from './open-blobs.ts'
export type { BlobStore } from './port.ts'
