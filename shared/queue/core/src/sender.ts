import { type Clock, ForebayError, isForebayError, systemClock } from '@forebay/kernel'
import type { ItemResult, OutboundMessage, QueueDriver } from '@forebay/queue-port'
import { attributeNames } from './attributes.ts'
import { bodyKey } from './blob-bodies.ts'
import type { BodyStore } from './body-store.ts'
import type { JobCodec } from './codec.ts'
import type { OutboundJob } from './job.ts'

/** Sends jobs to one queue. */
export interface JobSender<T> {
  /**
   * Answers per job, in order: a stored job is `ok` and will be delivered at least once. Jobs that fail to encode
   * reject the call before anything is sent.
   */
  send(items: readonly OutboundJob<T>[]): Promise<readonly ItemResult[]>
}

/**
 * A sender whose bodies over the driver's limit go to `bodies` (without it they fail with `queue_too_large`; one that
 * cannot be stored there fails alone, with the store's error), and
 * whose delays over the driver's limit are carried in the message and enforced by the receiver.
 */
export function makeJobSender<T>(options: {
  driver: QueueDriver
  codec: JobCodec<T>
  bodies?: BodyStore
  clock?: Clock
}): JobSender<T> {
  const { driver, codec, bodies, clock = systemClock } = options
  const { bodyBytesMax, delayMsMax } = driver.capabilities

  const toMessage = async (item: OutboundJob<T>, encoded: Uint8Array): Promise<OutboundMessage> => {
    const attributes: Record<string, string> = {}
    const delayMs = Math.min(item.delayMs ?? 0, delayMsMax)
    if ((item.delayMs ?? 0) > delayMs) attributes[attributeNames.notBefore] = String(clock.now() + (item.delayMs ?? 0))
    let body = encoded
    if (bodies && encoded.byteLength > bodyBytesMax) {
      const key = bodyKey({ tenantId: item.fairnessKey, nowMs: clock.now() })
      await bodies.put(key, encoded)
      attributes[attributeNames.body] = key
      body = new Uint8Array()
    }
    const fairness = item.fairnessKey === undefined ? {} : { fairnessKey: item.fairnessKey }
    return { id: item.id, body, attributes, delayMs, ...fairness }
  }

  return {
    async send(items) {
      const encoded = items.map((item) => [item, codec.encode(item.job)] as const)
      const packed = await Promise.all(
        encoded.map(([item, body]) =>
          toMessage(item, body).then(
            (message) => ({ message }),
            (err: unknown) => ({ id: item.id, ok: false as const, error: bodyNotStored(err) }),
          ),
        ),
      )
      const messages = packed.flatMap((each) => ('message' in each ? [each.message] : []))
      const sent = messages.length > 0 ? await driver.send(messages) : []
      const results = sent[Symbol.iterator]()
      return packed.map((each) => ('message' in each ? results.next().value : each)).filter((result) => !!result)
    },
  }
}

function bodyNotStored(err: unknown): ForebayError {
  if (isForebayError(err)) return err
  return new ForebayError('unavailable', 'The body of the job could not be stored beside the queue.', { cause: err })
}
