import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { PieceUpload } from '@forebay/blobs'

/**
 * A multipart upload. It is driven here rather than by the SDK's own uploader, which gives an upload up while its other
 * parts may still be landing.
 */
export async function startMultipart(options: { client: S3Client; bucket: string; key: string }): Promise<PieceUpload> {
  const { client } = options
  const object = { Bucket: options.bucket, Key: options.key }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(object))
  if (UploadId === undefined) throw new Error(`S3 gave no upload id for '${options.key}'.`)
  const parts = new Map<number, Record<string, string | undefined>>()
  return {
    parallel: 2,
    send: async ({ number, bytes }) => {
      const sent = await client.send(new UploadPartCommand({ ...object, UploadId, PartNumber: number, Body: bytes }))
      // A checksum that was sent with a part has to be named again to complete.
      parts.set(number, { ETag: sent.ETag, ChecksumCRC32: sent.ChecksumCRC32 })
    },
    complete: async () => {
      const Parts = [...parts].sort(([a], [b]) => a - b).map(([PartNumber, sums]) => ({ PartNumber, ...sums }))
      await client.send(new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts } }))
    },
    abort: async () => {
      await client.send(new AbortMultipartUploadCommand({ ...object, UploadId }))
    },
  }
}
