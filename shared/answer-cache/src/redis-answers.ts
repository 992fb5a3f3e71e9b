import { createHash } from 'node:crypto'
import { describeError, type Logger } from '@forebay/kernel'
import { Redis } from 'ioredis'
import type { Answer } from './answer.ts'
import { parseObject } from './answer.ts'
import type { Claim, EntryName, SharedAnswers } from './shared-answers.ts'

// KEYS: the answer, the right to compute it. The braces around the id keep both on one shard of a cluster.
const claimScript = script(`
local answer = redis.call('GET', KEYS[1])
if answer then return answer end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0`)
const putScript = script(`
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end`)
const renewScript = script(`
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end`)
const releaseScript = script(`
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end`)

/** Answers in Redis, each a string that expires by itself. An unreachable Redis is known within half a second. */
export function makeRedisAnswers(options: { url: string; logger: Logger }): SharedAnswers {
  const { logger } = options
  const redis = new Redis(options.url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    commandTimeout: 500,
    retryStrategy: (times) => Math.min(1_000, 50 * times),
  })
  redis.on('error', (err: unknown) => logger.debug({ reason: describeError(err) }, 'answer cache connection trouble'))

  const run = async (what: Script, entry: EntryName, values: (string | number)[]): Promise<unknown> => {
    const keys = [answerName(entry), `forebay:answering:${entry.tenantId}:{${entry.id}}`]
    try {
      return await redis.evalsha(what.sha, keys.length, ...keys, ...values)
    } catch (err) {
      if (!(err instanceof Error) || !err.message.startsWith('NOSCRIPT')) throw err
      return redis.eval(what.text, keys.length, ...keys, ...values)
    }
  }
  let stopped: Promise<void> | undefined
  const stop = async () => {
    if (redis.status === 'ready') await redis.quit().catch(() => {})
    redis.disconnect()
  }
  return {
    claim: async (entry, { token, leaseMs }): Promise<Claim> => {
      const found = await run(claimScript, entry, [token, leaseMs])
      if (typeof found !== 'string') return { kind: found === 1 ? 'lead' : 'follow' }
      const answer = parseAnswer(found)
      // What is there and is none of ours is computed anew, and overwritten.
      return answer ? { kind: 'answer', answer } : { kind: 'lead' }
    },
    renew: async (entry, { token, leaseMs }) => {
      await run(renewScript, entry, [token, leaseMs])
    },
    put: async (entry, answer, { token, ttlMs }) => {
      await run(putScript, entry, [token, JSON.stringify(answer), ttlMs])
    },
    release: async (entry, { token }) => {
      await run(releaseScript, entry, [token])
    },
    eraseTenant: async (tenantId) => {
      const match = answerName({ tenantId, id: '*' })
      for (let cursor = '0'; ; ) {
        const [next, names] = await redis.scan(cursor, 'MATCH', match, 'COUNT', 1_000)
        if (names.length > 0) await redis.unlink(...names)
        cursor = next
        if (cursor === '0') return
      }
    },
    stop: () => (stopped ??= stop()),
  }
}

interface Script {
  text: string
  sha: string
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

function answerName({ tenantId, id }: EntryName): string {
  return `forebay:answer:${tenantId}:{${id}}`
}

function parseAnswer(text: string): Answer | undefined {
  const value = parseObject(text)
  const ours = typeof value?.['text'] === 'string' && typeof value['storedAtMs'] === 'number' && value['usage']
  return ours ? (value as unknown as Answer) : undefined
}
