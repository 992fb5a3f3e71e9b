import type { Redis } from 'ioredis'

/** The group that all consumers share. It has one consumer name too: who holds what is known to the holder alone. */
export const group = 'workers'

/**
 * In front of the scripts that bring a message back: the attempts used are the number its field's name starts with; an
 * entry that an earlier version added has them in a field of its own, the fourth.
 */
const attempts = `
local function attempts(fields)
  if fields[1] == 'i' then return fields[8] end
  return string.match(fields[1], '^%d+')
end
local function withAttempts(fields, used)
  used = string.format('%d', used)
  if fields[1] == 'i' then fields[8] = used else fields[1] = used .. string.match(fields[1], ' .*') end
  return fields
end`

/**
 * KEYS of each script: the stream of what is ready or leased, then as named. A lease is a pending entry, and whoever
 * gives it back or finds it lost adds the message anew: so a stale holder's entry id names nothing any more.
 */
const scripts = {
  /** ARGV: name and body of each message's field. Answers the place and the error of each that was refused. */
  streamAdd: {
    keys: 1,
    lua: `
local refused = {}
for i = 1, #ARGV, 2 do
  local added = redis.pcall('XADD', KEYS[1], '*', ARGV[i], ARGV[i + 1])
  if added.err then refused[#refused + 1] = {(i + 1) / 2, added.err} end
end
return refused`,
  },
  /**
   * ARGV: entry ids. Answers nothing when all were held, else 1 for each that was and 0 for a lost one: what was lost
   * has been added anew, and so its old entry is gone.
   */
  streamAck: {
    keys: 1,
    lua: `
local held = redis.call('XACK', KEYS[1], '${group}', unpack(ARGV))
if held == #ARGV then
  redis.call('XDEL', KEYS[1], unpack(ARGV))
  return {}
end
local each = {}
for i, id in ipairs(ARGV) do each[i] = redis.call('XDEL', KEYS[1], id) end
return each`,
  },
  /** KEYS[2]: delayed. ARGV: entry id, attempts used, delay in ms. Answers 0 when the lease is lost. */
  streamGiveBack: {
    keys: 2,
    lua: `${attempts}
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if redis.call('XACK', KEYS[1], '${group}', ARGV[1]) == 0 or #found == 0 then return 0 end
local fields = withAttempts(found[1][2], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[1])
if tonumber(ARGV[3]) <= 0 then
  redis.call('XADD', KEYS[1], '*', unpack(fields))
else
  local time = redis.call('TIME')
  local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
  redis.call('ZADD', KEYS[2], due, cmsgpack.pack({ARGV[1], fields}))
end
return 1`,
  },
  /** KEYS[2]: delayed. ARGV: a name of its own, delay in ms, then name and body of the message's field. */
  streamDelay: {
    keys: 2,
    lua: `
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('ZADD', KEYS[2], due, cmsgpack.pack({ARGV[1], {unpack(ARGV, 3)}}))`,
  },
  /** KEYS[2]: dead. ARGV: entry id, reason, most dead letters, their longest age in ms. Answers 0 when the lease is lost. */
  streamBury: {
    keys: 2,
    lua: `
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if redis.call('XACK', KEYS[1], '${group}', ARGV[1]) == 0 or #found == 0 then return 0 end
local fields = found[1][2]
redis.call('XDEL', KEYS[1], ARGV[1])
fields[#fields + 1] = 'r'
fields[#fields + 1] = ARGV[2]
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
local time = redis.call('TIME')
redis.call('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f', time[1] * 1000 - ARGV[4]))
return 1`,
  },
  /**
   * Puts lost and due messages where they are delivered, and makes the group if it is not there. KEYS[2]: delayed.
   * ARGV: a lease's length in ms, most of each. Answers how many were lost, and in how many ms to look again: 0 at
   * once, -1 when nothing is delayed.
   */
  streamTend: {
    keys: 2,
    lua: `${attempts}
local pending = redis.pcall('XPENDING', KEYS[1], '${group}', 'IDLE', ARGV[1], '-', '+', ARGV[2])
if pending.err then
  redis.call('XGROUP', 'CREATE', KEYS[1], '${group}', '0', 'MKSTREAM')
  pending = {}
end
for _, lost in ipairs(pending) do
  local found = redis.call('XRANGE', KEYS[1], lost[1], lost[1])
  redis.call('XACK', KEYS[1], '${group}', lost[1])
  if #found > 0 then
    local fields = found[1][2]
    redis.call('XDEL', KEYS[1], lost[1])
    redis.call('XADD', KEYS[1], '*', unpack(withAttempts(fields, attempts(fields) + 1)))
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do
  redis.call('XADD', KEYS[1], '*', unpack(cmsgpack.unpack(member)[2]))
  redis.call('ZREM', KEYS[2], member)
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local again = -1
if #pending == tonumber(ARGV[2]) then again = 0 elseif #first > 0 then again = math.max(0, first[2] - now) end
return {#pending, again}`,
  },
  /** KEYS[2]: dead. ARGV: how many at most. Answers how many came back as first attempts. */
  streamRedrive: {
    keys: 2,
    lua: `${attempts}
local dead = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[1])
for _, entry in ipairs(dead) do
  local fields = withAttempts(entry[2], 0)
  redis.call('XADD', KEYS[1], '*', unpack(fields, 1, #fields - 2))
  redis.call('XDEL', KEYS[2], entry[1])
end
return #dead`,
  },
  /** Drops what nobody holds. KEYS[2], KEYS[3]: delayed, dead. */
  streamPurge: {
    keys: 3,
    lua: `
redis.call('DEL', KEYS[2], KEYS[3])
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err or #groups == 0 then return redis.call('DEL', KEYS[1]) end
local read = '0-0'
for i = 1, #groups[1], 2 do
  if groups[1][i] == 'last-delivered-id' then read = groups[1][i + 1] end
end
repeat
  local unread = redis.call('XRANGE', KEYS[1], '(' .. read, '+', 'COUNT', 500)
  for _, entry in ipairs(unread) do redis.call('XDEL', KEYS[1], entry[1]) end
until #unread == 0`,
  },
} as const

/** The scripts as methods of a connection. */
export interface ScriptedRedis extends Redis {
  streamAdd(ready: string, ...fields: (string | Buffer)[]): Promise<[at: number, error: string][]>
  streamAck(ready: string, ...entryIds: string[]): Promise<number[]>
  streamGiveBack(ready: string, delayed: string, entryId: string, used: number, delayMs: number): Promise<number>
  streamDelay(
    ready: string,
    delayed: string,
    unique: string,
    delayMs: number,
    name: string,
    body: Buffer,
  ): Promise<null>
  streamBury(ready: string, dead: string, entryId: string, reason: string, most: number, ageMs: number): Promise<number>
  streamTend(ready: string, delayed: string, leaseMs: number, most: number): Promise<[lost: number, againMs: number]>
  streamRedrive(ready: string, dead: string, most: number): Promise<number>
  streamPurge(ready: string, delayed: string, dead: string): Promise<unknown>
}

/** Gives a connection the scripts. */
export function withScripts(redis: Redis): ScriptedRedis {
  for (const [name, { keys, lua }] of Object.entries(scripts)) redis.defineCommand(name, { numberOfKeys: keys, lua })
  return redis as ScriptedRedis
}
