import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import { spareShare, type TakeFromWindows } from './window.ts'

/**
 * A window begins with its first point and ends with its key. INCRBY keeps the time to live; a key without one is new.
 * ARGV, six for each key: need, spare, owed, limit, length in ms, and the window that a negative `owed` is of.
 * Answers, four for each: granted, used, ms until its end, and the window, which is when it ends.
 */
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local windows = {}
local room = true
for i, key in ipairs(KEYS) do
  local at = 6 * (i - 1)
  local window = { need = tonumber(ARGV[at + 1]), limit = tonumber(ARGV[at + 4]), owed = tonumber(ARGV[at + 3]) }
  window.used = tonumber(redis.call('GET', key) or '0')
  window.left = redis.call('PTTL', key)
  if window.owed < 0 and (window.left < 0 or math.abs(now + window.left - ARGV[at + 6]) > 1000) then window.owed = 0 end
  if window.need > 0 and window.used + window.owed + window.need > window.limit then room = false end
  windows[i] = window
end
local states = {}
for i, key in ipairs(KEYS) do
  local at = 6 * (i - 1)
  local window = windows[i]
  local granted = 0
  if room then
    local rest = window.limit - window.used - window.owed - window.need
    granted = window.need + math.max(0, math.min(tonumber(ARGV[at + 2]), math.floor(rest / ${spareShare})))
  end
  local change = granted + window.owed
  if change ~= 0 then redis.call('INCRBY', key, string.format('%.0f', change)) end
  if window.left < 0 then
    window.left = tonumber(ARGV[at + 5])
    if change ~= 0 then redis.call('PEXPIRE', key, window.left) end
  end
  states[4 * i - 3] = granted
  states[4 * i - 2] = window.used + change
  states[4 * i - 1] = window.left
  states[4 * i] = now + window.left
end
return states
`
const digest = createHash('sha1').update(script).digest('hex')

/** Counts in Redis: all windows of a key in one script, which is one round trip and one turn of the server. */
export function takeInRedis(redis: Redis): TakeFromWindows {
  return async (key, asks) => {
    // In braces, so that a cluster keeps the windows of a key together.
    const keys = asks.map(({ window }) => `forebay:limit:{${key}}:${window}`)
    const args = asks.flatMap(({ lengthMs, limit, need, of, owed, spare }) => [
      ...[need, spare, owed, limit],
      ...[lengthMs, of],
    ])
    const reply = await run(redis, keys.length, [...keys, ...args])
    if (!Array.isArray(reply)) throw new Error('the limiter answered with something else than counts')
    const numbers = reply.map(Number)
    const at = (i: number) => numbers[i] ?? 0
    return asks.map((_, i) => ({
      granted: at(4 * i),
      used: at(4 * i + 1),
      resetMs: Math.max(0, at(4 * i + 2)),
      window: at(4 * i + 3),
    }))
  }

  async function run(server: Redis, keyCount: number, rest: (string | number)[]): Promise<unknown> {
    try {
      return await server.evalsha(digest, keyCount, ...rest)
    } catch (err) {
      // The server was restarted, and has forgotten its scripts.
      if (!(err instanceof Error) || !err.message.startsWith('NOSCRIPT')) throw err
      return server.eval(script, keyCount, ...rest)
    }
  }
}
