export { openGcsBlobs } from './open-gcs-blobs.ts'
