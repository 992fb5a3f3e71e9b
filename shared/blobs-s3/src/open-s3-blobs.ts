import { S3Client } from '@aws-sdk/client-s3'
import { type BlobStore, makeObjectStore } from '@forebay/blobs'
import { makeS3Backend } from './s3-backend.ts'

/**
 * Blobs as objects of an S3 bucket, below `prefix`. Credentials, and the region when not given, come from where the
 * AWS SDK looks for them. With an `endpoint` the store is a compatible one: addressed by path, sent no checksum it may
 * not know.
 */
export function openS3Blobs(options: {
  bucket: string
  prefix: string
  region?: string
  endpoint?: string
}): BlobStore {
  const { bucket, prefix, endpoint } = options
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  const checksums = endpoint === undefined ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  const client = new S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    maxAttempts: 4,
    // The time to the answer's head, so it bounds the sending of a piece but not how slowly an object is read.
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 120_000, throwOnRequestTimeout: true },
  })
  return makeObjectStore({ backend: makeS3Backend({ client, bucket }), prefix })
}
