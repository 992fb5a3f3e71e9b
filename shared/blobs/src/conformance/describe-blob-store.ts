import { afterAll, beforeAll, describe } from 'vitest'
import { openBlobs } from '../open-blobs.ts'
import type { BlobStore } from '../port.ts'
import { testDeleting } from './deleting.ts'
import { testFaults } from './faults.ts'
import type { FaultyLink } from './faulty-link.ts'
import { testKeys } from './keys.ts'
import { testPutting } from './putting.ts'
import { testReading } from './reading.ts'

/** One running store to test a driver against. */
export interface BlobHarness {
  /** A BLOB_URL of the store with this prefix (a folder or a key prefix), through `link` where there is one. */
  url(prefix: string): string
  /** What unfinished puts have left at the store: temporary files, parts, staged blocks, sessions. */
  leftovers(): Promise<number> | number
  /** What only a store over the network has. */
  remote?: {
    link: FaultyLink
    /** A BLOB_URL whose bucket does not exist; and the bucket, as an error must name it. */
    absent: { url: string; name: string }
  }
  close(): Promise<void>
}

/** What the areas of the suite are given. */
export interface Subject {
  harness(): BlobHarness
  /** A store below a prefix of its own. */
  fresh(): BlobStore
}

/**
 * Holds a driver to the port: opens the store once and runs every area against it. `remote` says whether the harness
 * has a network to fail; without one those tests are shown as skipped.
 */
export function describeBlobStore(
  name: string,
  open: () => Promise<BlobHarness>,
  expectations: { remote: boolean },
): void {
  describe(`blob store: ${name}`, () => {
    let opened: BlobHarness | undefined
    let count = 0
    const harness = (): BlobHarness => {
      if (!opened) throw new Error('The store is not open.')
      return opened
    }
    const subject: Subject = {
      harness,
      fresh: () => {
        count += 1
        return openBlobs({ url: harness().url(`case-${count}`) })
      },
    }
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    testPutting(subject)
    testReading(subject)
    testDeleting(subject)
    testKeys(subject)
    describe.skipIf(!expectations.remote)('over a network that fails', () => testFaults(subject))
  })
}
