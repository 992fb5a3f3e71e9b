import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { ObjectBackend } from '@forebay/blobs'
import { faultOfS3 } from './fault-of-s3.ts'
import { startMultipart } from './multipart.ts'

/** A bucket of S3 or of a store compatible with it. */
export function makeS3Backend(options: { client: S3Client; bucket: string }): ObjectBackend {
  const { client, bucket } = options
  return {
    place: `the S3 bucket '${bucket}'`,
    permissions: {
      write: 's3:PutObject and s3:AbortMultipartUpload',
      read: 's3:GetObject',
      list: 's3:ListBucket',
      delete: 's3:DeleteObject',
    },
    putWhole: async (key, bytes) => {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }))
    },
    startUpload: (key) => startMultipart({ client, bucket, key }),
    open: async (key, range) => {
      const { Body } = await client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
        }),
      )
      if (!(Body instanceof Readable)) throw new Error(`S3 sent no body for '${key}'.`)
      return Body
    },
    size: async (key) => (await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))).ContentLength ?? 0,
    delete: async (key) => {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
    },
    list: async function* (prefix) {
      for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix })) {
        yield (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
      }
    },
    deletePage: async (keys) => {
      const { Errors = [] } = await client.send(
        new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true } }),
      )
      // The answer is 200 even when some, or all, were refused.
      const refused = Errors.find(({ Code }) => Code !== 'NoSuchKey')
      if (refused)
        throw Object.assign(new Error(refused.Message ?? 'delete refused'), { name: refused.Code ?? 'Error' })
    },
    faultOf: (err) => faultOfS3(err, bucket),
  }
}
