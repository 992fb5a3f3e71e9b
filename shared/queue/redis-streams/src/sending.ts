import { randomUUID } from 'node:crypto'
import type { Clock, ForebayError } from '@forebay/kernel'
import {
  type BatchLimits,
  bodyTooLarge,
  type ItemResult,
  type OutboundMessage,
  sendInBatches,
} from '@forebay/queue-port'
import { toRedisError } from '@forebay/redis'
import { fieldOf } from './entry.ts'
import type { StreamKeys } from './keys.ts'
import type { ScriptedRedis } from './scripts.ts'

/** Of one command: Redis does nothing else while it adds so many, and holds them all before it begins. */
const limits: BatchLimits = { itemsMax: 250, bytesMax: 8 * 1024 * 1024, width: 4 }

interface Packed {
  readonly name: string
  readonly body: Buffer
  readonly delayMs: number
  readonly bytes: number
}

interface Sending {
  items: readonly OutboundMessage[]
  queue: string
  keys: StreamKeys
  redis: ScriptedRedis
  clock: Clock
  bodyBytesMax: number
  onDelayed: (delayMs: number) => void
}

/** Adds messages to a stream, many with one command; each has its own answer. `onDelayed` is told of each delay. */
export function sendToStream(options: Sending): Promise<readonly ItemResult[]> {
  const [only] = options.items
  return only && options.items.length === 1 && (only.delayMs ?? 0) <= 0 ? addOne(only, options) : addAll(options)
}

// A live request: a client waits for it, and what batches need would be most of what it costs.
async function addOne(item: OutboundMessage, options: Sending): Promise<readonly ItemResult[]> {
  const { bodyBytesMax, clock, keys, queue, redis } = options
  const { id } = item
  const bytes = item.body.byteLength
  if (bytes > bodyBytesMax) return [{ id, ok: false, error: bodyTooLarge(id, bytes, bodyBytesMax) }]
  const [name, body] = fieldOf(item, clock.now())
  try {
    await redis.xadd(keys.ready, '*', name, body)
    return [{ id, ok: true }]
  } catch (err) {
    return [{ id, ok: false, error: toRedisError(err, queue) }]
  }
}

function addAll(options: Sending): Promise<readonly ItemResult[]> {
  const { bodyBytesMax, clock, items, keys, onDelayed, queue, redis } = options
  const sentAt = clock.now()
  const toError = (err: unknown) => toRedisError(err, queue)

  const addAlone = async ({ body, delayMs, name }: Packed): Promise<ForebayError | undefined> => {
    try {
      if (delayMs <= 0) await redis.xadd(keys.ready, '*', name, body)
      else {
        await redis.streamDelay(keys.ready, keys.delayed, randomUUID(), delayMs, name, body)
        onDelayed(delayMs)
      }
      return undefined
    } catch (err) {
      return toError(err)
    }
  }

  const addTogether = async (batch: readonly Packed[]): Promise<readonly (ForebayError | undefined)[]> => {
    const fields: (string | Buffer)[] = []
    for (const { body, name } of batch) fields.push(name, body)
    const errors: (ForebayError | undefined)[] = []
    for (const [at, text] of await redis.streamAdd(keys.ready, ...fields)) errors[at - 1] = toError(new Error(text))
    return errors
  }

  return sendInBatches({
    items,
    bodyBytesMax,
    limits,
    toError,
    pack(item) {
      const [name, body] = fieldOf(item, sentAt)
      return { name, body, delayMs: item.delayMs ?? 0, bytes: body.byteLength }
    },
    sendBatch: (batch) =>
      batch.length > 1 && batch.every(({ delayMs }) => delayMs <= 0)
        ? addTogether(batch)
        : Promise.all(batch.map(addAlone)),
  })
}
