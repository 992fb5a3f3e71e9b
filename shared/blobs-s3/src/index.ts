export { openS3Blobs } from './open-s3-blobs.ts'
