export { displayUrl } from './display-url.ts'
export { openRedis } from './open-redis.ts'
export { toRedisError } from './to-redis-error.ts'
