import { ForebayError, type Logger } from '@forebay/kernel'
import { makeMemoryReplyBus } from './memory.ts'
import type { ReplyBus } from './port.ts'
import { makeRedisReplyBus } from './redis.ts'

/** Opens the bus that REDIS_URL names, or one within this process when it is not set. */
export function openReplyBus(options: { url: string | undefined; logger: Logger }): ReplyBus {
  if (options.url === undefined) return makeMemoryReplyBus()
  if (/^rediss?:\/\//.test(options.url)) return makeRedisReplyBus({ url: options.url, logger: options.logger })
  throw new ForebayError(
    'config_invalid',
    `REDIS_URL: '${options.url.split('@').pop()}' is not a redis:// or rediss:// URL.`,
  )
}
