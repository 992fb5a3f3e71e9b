import { describeBlobStore, startFaultyLink } from '@forebay/blobs/conformance'
import { startFauxqs } from 'fauxqs'

process.env['AWS_ACCESS_KEY_ID'] = 'test'
process.env['AWS_SECRET_ACCESS_KEY'] = 'test'

describeBlobStore(
  's3',
  async () => {
    const store = await startFauxqs({ port: 0, logger: false })
    store.createBucket('forebay')
    const link = await startFaultyLink({ port: store.port })
    const url = (bucket: string, prefix: string) =>
      `s3://${bucket}/${prefix}?region=eu-west-1&endpoint=http://127.0.0.1:${link.port}`
    const count = (pattern: RegExp) => link.requests.filter((line) => pattern.test(line)).length
    return {
      url: (prefix) => url('forebay', prefix),
      // The emulator lists no uploads, so the requests that start and end one are counted.
      leftovers: () => count(/^POST \S+[?&]uploads\b/) - count(/^(POST|DELETE) \S+[?&]uploadId=/),
      remote: { link, absent: { url: url('nowhere', 'x'), name: "the S3 bucket 'nowhere'" } },
      close: async () => {
        await link.close()
        await store.stop()
      },
    }
  },
  { remote: true },
)
