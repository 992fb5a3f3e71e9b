import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ForebayError } from '@forebay/kernel'
import { openFolderBlobs } from './folder.ts'
import type { BlobStore } from './port.ts'

/** Opens the store that BLOB_URL names: `file:///absolute/folder` or a plain path. Throws `config_invalid` for anything else. */
export function openBlobs(options: { url: string }): BlobStore {
  const { url } = options
  if (url.startsWith('file:')) return openFolderBlobs({ root: fileURLToPath(url) })
  if (isAbsolute(url) || url.startsWith('./')) return openFolderBlobs({ root: url })
  throw new ForebayError('config_invalid', `BLOB_URL: '${url}' is not supported. Use file:///absolute/folder.`)
}
