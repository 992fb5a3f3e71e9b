import type { ForebayError } from '@forebay/kernel'
import { bodyTooLarge } from './errors.ts'
import type { ItemResult, OutboundMessage } from './messages.ts'

/** A broker's limits on one batch call. */
export interface BatchLimits {
  readonly itemsMax: number
  readonly bytesMax: number
  /** How many batch calls are under way at once. */
  readonly width: number
}

/**
 * Sends messages in batches within the broker's limits and answers per item, in order. `pack` answers a message in
 * the broker's form with its size on the wire; `sendBatch` answers one error or undefined per message, and rejects
 * when the whole batch failed. Messages over the driver's or the broker's limit fail alone, with `queue_too_large`.
 */
export async function sendInBatches<P extends { readonly bytes: number }>(options: {
  items: readonly OutboundMessage[]
  bodyBytesMax: number
  limits: BatchLimits
  pack: (item: OutboundMessage) => P
  sendBatch: (batch: readonly P[]) => Promise<readonly (ForebayError | undefined)[]>
  toError: (err: unknown) => ForebayError
}): Promise<readonly ItemResult[]> {
  const { bodyBytesMax, items, limits, pack, sendBatch, toError } = options
  const results = items.map(({ id }): ItemResult => ({ id, ok: true }))
  const fail = (at: number, error: ForebayError) => {
    results[at] = { id: items[at]?.id ?? '', ok: false, error }
  }
  const fitting: { at: number; packed: P }[] = []
  for (const [at, item] of items.entries()) {
    const bytes = item.body.byteLength
    const packed = bytes > bodyBytesMax ? undefined : pack(item)
    if (packed && packed.bytes <= limits.bytesMax) fitting.push({ at, packed })
    else fail(at, bodyTooLarge(item.id, bytes, bodyBytesMax))
  }
  const batches = splitBatches(fitting, limits)
  const sendNext = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      try {
        const errors = await sendBatch(batch.map(({ packed }) => packed))
        for (const [i, { at }] of batch.entries()) {
          const error = errors[i]
          if (error) fail(at, error)
        }
      } catch (err) {
        for (const { at } of batch) fail(at, toError(err))
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limits.width, batches.length) }, sendNext))
  return results
}

function splitBatches<I extends { readonly packed: { readonly bytes: number } }>(
  items: readonly I[],
  limits: BatchLimits,
): I[][] {
  const batches: I[][] = []
  let batch: I[] = []
  let bytes = 0
  for (const item of items) {
    if (batch.length > 0 && (batch.length >= limits.itemsMax || bytes + item.packed.bytes > limits.bytesMax)) {
      batches.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(item)
    bytes += item.packed.bytes
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}
