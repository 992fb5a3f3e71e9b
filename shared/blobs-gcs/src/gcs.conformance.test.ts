import { describeBlobStore, startFaultyLink } from '@forebay/blobs/conformance'
import { startGcsEmulator } from '@forebay/emulators/blobs'

describeBlobStore(
  'gcs',
  async () => {
    const store = await startGcsEmulator({ buckets: ['forebay'] })
    const link = await startFaultyLink({ port: store.port })
    const url = (bucket: string, prefix: string) => `gs://${bucket}/${prefix}?endpoint=http://127.0.0.1:${link.port}`
    return {
      url: (prefix) => url('forebay', prefix),
      leftovers: () => store.unfinished(),
      remote: { link, absent: { url: url('nowhere', 'x'), name: "the GCS bucket 'nowhere' does not exist" } },
      close: async () => {
        await link.close()
        await store.stop()
      },
    }
  },
  { remote: true },
)
