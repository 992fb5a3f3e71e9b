export { type BlobHarness, describeBlobStore } from './describe-blob-store.ts'
export { type FaultyLink, startFaultyLink } from './faulty-link.ts'
