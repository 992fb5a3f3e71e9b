import type { BlobStore } from './port.ts'

/** A store that is opened on first use. A failed opening is tried again by the next call. */
export function lazyStore(open: () => Promise<BlobStore>): BlobStore {
  let opened: Promise<BlobStore> | undefined
  const store = (): Promise<BlobStore> => {
    opened ??= open().catch((err: unknown) => {
      opened = undefined
      throw err
    })
    return opened
  }
  return {
    put: async (key, source) => (await store()).put(key, source),
    read: async (key, range) => (await store()).read(key, range),
    readRange: async (key, start, end) => (await store()).readRange(key, start, end),
    size: async (key) => (await store()).size(key),
    delete: async (key) => (await store()).delete(key),
    deletePrefix: async (prefix) => (await store()).deletePrefix(prefix),
    check: async () => (await store()).check(),
  }
}
