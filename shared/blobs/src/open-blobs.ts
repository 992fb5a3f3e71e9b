import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ForebayError } from '@forebay/kernel'
import { openFolderBlobs } from './folder.ts'
import { lazyStore } from './lazy-store.ts'
import { type ObjectUrl, parseBlobUrl } from './parse-blob-url.ts'
import type { BlobStore } from './port.ts'

/**
 * Opens the store that BLOB_URL names: `file:///absolute/folder` or a plain path, `s3://bucket/prefix`,
 * `gs://bucket/prefix` or `azblob://account/container/prefix`. An SDK is loaded on first use, and only the one named.
 * Throws `config_invalid` for anything else; whether the store answers is for `check` to say.
 */
export function openBlobs(options: { url: string }): BlobStore {
  const { url } = options
  if (url.startsWith('file:')) return openFolderBlobs({ root: fileURLToPath(url) })
  if (isAbsolute(url) || url.startsWith('./')) return openFolderBlobs({ root: url })
  const named = parseBlobUrl(url)
  if (named.scheme === 's3') return lazyStore(() => openS3(named))
  if (named.scheme === 'gs') return lazyStore(() => openGcs(named))
  const [container = '', ...prefix] = named.path.split('/')
  if (container === '') {
    throw new ForebayError('config_invalid', `BLOB_URL: '${url}' names no container. Use azblob://account/container.`)
  }
  return lazyStore(() => openAzure(named, container, prefix.join('/')))
}

async function openS3({ host, path, settings }: ObjectUrl): Promise<BlobStore> {
  const { openS3Blobs } = await import('@forebay/blobs-s3')
  return openS3Blobs({ bucket: host, prefix: path, ...settings })
}

async function openGcs({ host, path, settings }: ObjectUrl): Promise<BlobStore> {
  const { openGcsBlobs } = await import('@forebay/blobs-gcs')
  return openGcsBlobs({ bucket: host, prefix: path, ...settings })
}

async function openAzure({ host, settings }: ObjectUrl, container: string, prefix: string): Promise<BlobStore> {
  const { openAzureBlobs } = await import('@forebay/blobs-azure')
  return openAzureBlobs({ account: host, container, prefix, ...settings })
}
