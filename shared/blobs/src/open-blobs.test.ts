import { describe, expect, it } from 'vitest'
import { openBlobs } from './open-blobs.ts'

describe('openBlobs', () => {
  it.each([
    ['', /Use file:/],
    ['ftp://host/x', /Use file:/],
    ['s3:bucket', /Use file:/],
    ['s3:///prefix', /names no bucket/],
    ['s3://bucket/x?regoin=eu', /takes region, endpoint, not 'regoin'/],
    ['gs://bucket/x?region=eu', /takes endpoint, not 'region'/],
    ['s3://bucket/x?endpoint=minio:9000', /must start with http/],
    ['azblob://account', /names no container/],
  ])('refuses %j at once, and says what is wrong', (url, message) => {
    expect(() => openBlobs({ url })).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringMatching(message) }),
    )
  })

  it('refuses credentials in the URL without repeating them', () => {
    const open = () => openBlobs({ url: 's3://key:hunter2@bucket/x' })
    expect(open).toThrow(/credentials do not belong/)
    expect(open).not.toThrow(/hunter2/)
  })

  it('opens an object store without asking it anything', () => {
    for (const url of ['s3://bucket/a/b?region=eu-west-1', 'gs://bucket', 'azblob://account/container/a/b']) {
      expect(openBlobs({ url }).check).toBeTypeOf('function')
    }
  })
})
