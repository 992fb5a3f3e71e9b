import type { BodyStore } from './body-store.ts'

/** What of a blob store holds bodies. */
interface Blobs {
  put(key: string, source: Uint8Array): Promise<unknown>
  readRange(key: string, start: number, end: number): Promise<Uint8Array>
  size(key: string): Promise<number | undefined>
  delete(key: string): Promise<void>
}

const dayMs = 86_400_000

/** Bodies in a blob store, under `queue/<day sent>/`, so that those nobody came for can be swept by the day. */
export function bodiesIn(blobs: Blobs): BodyStore {
  const keyOf = (key: string) => `queue/${key}`
  return {
    put: async (key, body) => void (await blobs.put(keyOf(key), body)),
    get: async (key) => blobs.readRange(keyOf(key), 0, (await blobs.size(keyOf(key))) ?? 1),
    delete: (key) => blobs.delete(keyOf(key)),
  }
}

/** The day, in UTC, that a body's key starts with. */
export function bodyDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10)
}

/**
 * Prefixes of the bodies that are to go: of the eight days before the last two. No job waits for so long: live
 * requests have their deadline within the hour.
 */
export function oldBodyPrefixes(nowMs: number): string[] {
  return Array.from({ length: 8 }, (_, i) => `queue/${bodyDay(nowMs - (i + 2) * dayMs)}/`)
}
