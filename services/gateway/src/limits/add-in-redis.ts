import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { AddToWindows } from './counting-windows.ts'

// A window begins with its first point and ends with its key. INCRBY keeps the time to live; a key without one is new.
const script = `
local states = {}
for i, key in ipairs(KEYS) do
  local used = redis.call('INCRBY', key, ARGV[2 * i - 1])
  local left = redis.call('PTTL', key)
  if left < 0 then
    left = tonumber(ARGV[2 * i])
    redis.call('PEXPIRE', key, left)
  end
  states[2 * i - 1] = used
  states[2 * i] = left
end
return states
`
const digest = createHash('sha1').update(script).digest('hex')

/** Counts in Redis: all windows of a key in one script, which is one round trip and one turn of the server. */
export function addInRedis(redis: Redis): AddToWindows {
  return async (key, changes) => {
    // In braces, so that a cluster keeps the windows of a key together.
    const keys = changes.map(({ window }) => `forebay:limit:{${key}}:${window}`)
    const args = changes.flatMap(({ lengthMs, points }) => [points, lengthMs])
    const reply = await run(redis, [...keys, ...args])
    if (!Array.isArray(reply)) throw new Error('the limiter answered with something else than counts')
    const numbers = reply.map(Number)
    return changes.map((_, i) => ({ used: numbers[2 * i] ?? 0, resetMs: Math.max(0, numbers[2 * i + 1] ?? 0) }))
  }

  async function run(server: Redis, rest: (string | number)[]): Promise<unknown> {
    const keyCount = rest.length / 3
    try {
      return await server.evalsha(digest, keyCount, ...rest)
    } catch (err) {
      // The server was restarted, and has forgotten its scripts.
      if (!(err instanceof Error) || !err.message.startsWith('NOSCRIPT')) throw err
      return server.eval(script, keyCount, ...rest)
    }
  }
}
