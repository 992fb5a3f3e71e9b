import { describeBlobStore, startFaultyLink } from '@forebay/blobs/conformance'
import { startAzureBlobEmulator } from '@forebay/emulators/blobs'

process.env['AZURE_STORAGE_KEY'] = Buffer.from('test').toString('base64')

describeBlobStore(
  'azure',
  async () => {
    const store = await startAzureBlobEmulator({ account: 'forebay', containers: ['blobs'] })
    const link = await startFaultyLink({ port: store.port })
    const url = (container: string, prefix: string) =>
      `azblob://forebay/${container}/${prefix}?endpoint=http://127.0.0.1:${link.port}/forebay`
    return {
      url: (prefix) => url('blobs', prefix),
      leftovers: () => store.unfinished(),
      remote: { link, absent: { url: url('nowhere', 'x'), name: "the Azure container 'nowhere'" } },
      close: async () => {
        await link.close()
        await store.stop()
      },
    }
  },
  { remote: true },
)
