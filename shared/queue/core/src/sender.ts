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
  const fits = ({ body }: OutboundMessage) => body.byteLength <= bodyBytesMax

  const toMessage = (item: OutboundJob<T>, body: Uint8Array): OutboundMessage => {
    const { delayMs = 0, fairnessKey, id } = item
    if (delayMs > delayMsMax) {
      const attributes = { [attributeNames.notBefore]: `${clock.now() + delayMs}` }
      const message = { id, body, attributes, delayMs: delayMsMax }
      return fairnessKey === undefined ? message : { ...message, fairnessKey }
    }
    return fairnessKey === undefined ? { id, body, delayMs } : { id, body, delayMs, fairnessKey }
  }

  /** The same with its body in the body store, or what became of it when that failed. */
  const toPointer = async (message: OutboundMessage, store: BodyStore): Promise<OutboundMessage | ItemResult> => {
    const key = bodyKey({ tenantId: message.fairnessKey, nowMs: clock.now() })
    try {
      await store.put(key, message.body)
    } catch (err) {
      return { id: message.id, ok: false, error: bodyNotStored(err) }
    }
    return { ...message, body: new Uint8Array(), attributes: { ...message.attributes, [attributeNames.body]: key } }
  }

  return {
    async send(items) {
      const messages = items.map((item) => toMessage(item, codec.encode(item.job)))
      // Nearly all bodies are small: what is done for the others costs those nothing.
      if (!bodies || messages.every(fits)) return messages.length > 0 ? driver.send(messages) : []
      const packed = await Promise.all(messages.map((each) => (fits(each) ? each : toPointer(each, bodies))))
      const sendable = packed.filter((each) => 'body' in each)
      const sent = sendable.length > 0 ? await driver.send(sendable) : []
      const results = sent[Symbol.iterator]()
      return packed.map((each) => ('body' in each ? results.next().value : each)).filter((result) => !!result)
    },
  }
}

function bodyNotStored(err: unknown): ForebayError {
  if (isForebayError(err)) return err
  return new ForebayError('unavailable', 'The body of the job could not be stored beside the queue.', { cause: err })
}
