import { type Announcement, announcementSchema, type Control, controlSchema, type ReplyFrame } from '@forebay/contracts'
import { describeError, ForebayError, type Logger } from '@forebay/kernel'
import { Redis } from 'ioredis'
import { makeOutbox } from './outbox.ts'
import { parseFrames } from './parse-frames.ts'
import type { ReplyBus } from './port.ts'

const prefix = 'forebay:bus:'

/** A bus over Redis publish/subscribe: one connection to publish, one to hear. Reconnects by itself; frames sent meanwhile are lost. */
export function makeRedisReplyBus(options: { url: string; logger: Logger }): ReplyBus {
  const { logger } = options
  const connect = () =>
    new Redis(options.url, {
      lazyConnect: true,
      enableOfflineQueue: true,
      maxRetriesPerRequest: 1,
      connectTimeout: 5000,
      retryStrategy: (times) => Math.min(1000, 50 * times),
    })
  const publisher = connect()
  const subscriber = connect()
  const handlers = new Map<string, Set<(text: string) => void>>()
  for (const redis of [publisher, subscriber]) {
    redis.on('error', (err: unknown) => logger.warn({ reason: describeError(err) }, 'reply bus connection trouble'))
  }
  subscriber.on('message', (channel: string, text: string) => {
    for (const handle of handlers.get(channel) ?? []) handle(text)
  })

  const publish = async (channel: string, message: unknown): Promise<void> => {
    try {
      await publisher.publish(prefix + channel, JSON.stringify(message))
    } catch (err) {
      throw new ForebayError('unavailable', 'The reply bus cannot be reached right now. Please retry.', {
        cause: err,
        retryAfterMs: 1000,
      })
    }
  }
  const hear = async <T>(channel: string, parse: (value: unknown) => T, fn: (message: T) => void) => {
    const handle = (text: string) => {
      let message: T
      try {
        message = parse(JSON.parse(text))
      } catch (err) {
        logger.warn({ channel, reason: describeError(err) }, 'a message on the reply bus is not ours')
        return
      }
      fn(message)
    }
    const name = prefix + channel
    const set = handlers.get(name) ?? new Set()
    handlers.set(name, set.add(handle))
    if (set.size === 1) {
      try {
        await subscriber.subscribe(name)
      } catch (err) {
        handlers.delete(name)
        throw new ForebayError('unavailable', 'The reply bus cannot be reached right now.', { cause: err })
      }
    }
    return async () => {
      set.delete(handle)
      if (set.size === 0) {
        handlers.delete(name)
        await subscriber.unsubscribe(name).catch(() => {})
      }
    }
  }

  const outbox = makeOutbox((inbox, frames) => publish(`inbox:${inbox}`, frames))
  const stop = async () => {
    await outbox.settled()
    await Promise.all([quit(publisher), quit(subscriber)])
  }

  let stopped: Promise<void> | undefined
  return {
    send: (inbox, frame) => outbox.send(inbox, frame),
    receive: (inbox, onFrame) =>
      hear<ReplyFrame[]>(`inbox:${inbox}`, parseFrames, (frames) => {
        for (const frame of frames) onFrame(frame)
      }),
    control: (message) => publish('control', message),
    onControl: (onMessage) => hear<Control>('control', (value) => controlSchema.parse(value), onMessage),
    announce: (announcement) => publish('announce', announcement),
    onAnnounce: (onAnnouncement) =>
      hear<Announcement>('announce', (value) => announcementSchema.parse(value), onAnnouncement),
    trouble: () => {
      const status = [publisher, subscriber].map((redis) => redis.status).find((s) => s !== 'ready' && s !== 'wait')
      return status === undefined ? undefined : `reply bus is ${status}`
    },
    stop: () => (stopped ??= stop()),
  }
}

async function quit(redis: Redis): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => {})
  redis.disconnect()
}
