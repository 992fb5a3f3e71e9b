import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { tempDir } from '@forebay/test-support'
import { describeBlobStore } from './conformance/index.ts'

describeBlobStore(
  'folder',
  async () => {
    const root = tempDir()
    const prefixes = new Set<string>()
    return {
      url: (prefix) => {
        prefixes.add(prefix)
        return pathToFileURL(join(root, prefix)).href
      },
      leftovers: async () => {
        const names = await Promise.all(
          [...prefixes].map((prefix) => readdir(join(root, prefix, '.incoming')).catch(() => [])),
        )
        return names.flat().length
      },
      close: async () => {},
    }
  },
  { remote: false },
)
