export { makeMemoryReplyBus } from './memory.ts'
export { openReplyBus } from './open-reply-bus.ts'
export type { ReplyBus } from './port.ts'
export { makeRedisReplyBus } from './redis.ts'
