import type { BlobStore } from '@forebay/blobs'

type Reader = Pick<BlobStore, 'readRange'>

/** Stores that remember which of them failed, so that a batch can say what it waits for. */
export interface WatchedStores {
  files: BlobStore
  storeOf(pool: string): Reader
  /** What the work waits for, in words, when one of them was why it ended; else null. */
  waitingFor(): string | null
}

/** Watches the files' store and, given how to find them, those of pools. */
export function watchStores(options: { files: BlobStore; storeOf?: (pool: string) => Reader }): WatchedStores {
  const { files, storeOf } = options
  let waitingFor: string | null = null
  const noting = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (err) {
      // Without a code it is no failure of the store: the source of a put was given up.
      const code = err instanceof Error && 'code' in err ? err.code : undefined
      const why = code === 'not_found' ? 'an object that it needs is not there' : 'it does not answer'
      if (code !== undefined) waitingFor ??= `${what}: ${why}.`
      throw err
    }
  }
  const own = 'The blob store of the files'
  return {
    files: {
      ...files,
      put: (key, source) => noting(own, () => files.put(key, source)),
      read: (key, range) => noting(own, () => files.read(key, range)),
      readRange: (key, start, end) => noting(own, () => files.readRange(key, start, end)),
    },
    storeOf: (pool) => ({
      readRange: (key, start, end) =>
        noting(`The blob store of the pool ${pool}, where results of it lie`, async () =>
          (storeOf?.(pool) ?? files).readRange(key, start, end),
        ),
    }),
    waitingFor: () => waitingFor,
  }
}
