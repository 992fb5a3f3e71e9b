import { newId } from '@forebay/kernel'
import type { BodyStore } from './body-store.ts'

/** What of a blob store holds bodies. */
interface Blobs {
  put(key: string, source: Uint8Array): Promise<unknown>
  readRange(key: string, start: number, end: number): Promise<Uint8Array>
  size(key: string): Promise<number | undefined>
  delete(key: string): Promise<void>
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Days that a body nobody came for may stay: that of its sending and the next. No job waits for so long. */
const daysKept = 2
/** How many days back old bodies are looked for. */
const daysSwept = 8

/**
 * Bodies in a blob store, under `queue/<day sent>/`, so that those nobody came for can be swept by the day, and there
 * under `<tenant>/<hour sent>/`, so that a tenant's can be found.
 */
export function bodiesIn(blobs: Blobs): BodyStore {
  const keyOf = (key: string) => `queue/${key}`
  return {
    put: async (key, body) => void (await blobs.put(keyOf(key), body)),
    get: async (key) => blobs.readRange(keyOf(key), 0, (await blobs.size(keyOf(key))) ?? 1),
    delete: (key) => blobs.delete(keyOf(key)),
  }
}

/** A new body's key; one of a job that names no tenant is found by its day alone. */
export function bodyKey(of: { tenantId: string | undefined; nowMs: number }): string {
  const { nowMs, tenantId } = of
  const owner = tenantId === undefined ? '' : `${tenantId}/${hourOf(nowMs)}/`
  return `${dayOf(nowMs)}/${owner}${newId('body_', nowMs)}`
}

/** Prefixes of the bodies that are to go: live requests have their deadline within the hour. */
export function oldBodyPrefixes(nowMs: number): string[] {
  return Array.from({ length: daysSwept }, (_, i) => `queue/${dayOf(nowMs - (i + daysKept) * dayMs)}/`)
}

/** Prefixes of a tenant's bodies that were sent before the hour of `beforeMs`, but for those that are swept as old. */
export function tenantBodyPrefixes(tenantId: string, beforeMs: number): string[] {
  const today = `queue/${dayOf(beforeMs)}/${tenantId}/`
  const hours = Array.from({ length: Number(hourOf(beforeMs)) }, (_, hour) => `${today}${hourOf(hour * hourMs)}/`)
  const days = Array.from({ length: daysKept }, (_, i) => `queue/${dayOf(beforeMs - (i + 1) * dayMs)}/${tenantId}/`)
  return [...days, ...hours]
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10)
}

function hourOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, 13)
}
