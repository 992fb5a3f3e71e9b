import type { Clock } from '@forebay/kernel'
import { type ItemResult, type Lease, leaseLost } from '@forebay/queue-port'
import { toRedisError } from '@forebay/redis'
import type { StreamKeys } from './keys.ts'
import { group, type ScriptedRedis } from './scripts.ts'
import { StreamLease } from './stream-lease.ts'

/** Dead letters kept. */
const deadKept = { count: 100_000, ageMs: 30 * 24 * 3_600_000 }
/** How many one command acknowledges. */
const ackSize = 500

/** What ends or extends the leases of one stream. Rejects with what Redis said, or with `lease_lost`. */
export interface StreamSettler {
  /** Never rejects: each lease has its own answer. */
  ack(leases: readonly Lease[]): Promise<readonly ItemResult[]>
  giveBack(lease: Lease, options: { delayMs: number; counted: boolean }): Promise<void>
  extend(lease: Lease, leaseMs: number): Promise<number>
  bury(lease: Lease, reason: { code: string; detail?: string }): Promise<void>
}

/** A settler for the leases that were read from these keys; to it, any other is lost. */
export function makeStreamSettler(options: {
  queue: string
  keys: StreamKeys
  redis: ScriptedRedis
  clock: Clock
}): StreamSettler {
  const { clock, keys, queue, redis } = options
  const { dead, delayed, ready } = keys

  const isHeld = (lease: Lease): lease is StreamLease =>
    lease instanceof StreamLease && lease.held && lease.stream === ready

  const ackSome = async (leases: readonly Lease[]): Promise<ItemResult[]> => {
    const held = leases.filter(isHeld)
    const ids = held.map(({ entryId }) => entryId)
    let answers: readonly number[] = []
    try {
      if (ids.length > 0) answers = await redis.streamAck(ready, ...ids)
    } catch (err) {
      const error = toRedisError(err, queue)
      return leases.map(({ id }) => ({ id, ok: false, error }))
    }
    // No answer at all: every one was held.
    const lost = new Set<Lease>(held.filter((_, i) => answers.length > 0 && answers[i] !== 1))
    const results = leases.map((lease): ItemResult => {
      const { id } = lease
      return isHeld(lease) && !lost.has(lease) ? { id, ok: true } : { id, ok: false, error: leaseLost(id) }
    })
    for (const lease of held) lease.held = false
    return results
  }

  const settle = async (lease: Lease, act: (lease: StreamLease) => Promise<number>): Promise<void> => {
    if (!isHeld(lease)) throw leaseLost(lease.id)
    const done = await act(lease)
    lease.held = false
    if (done === 0) throw leaseLost(lease.id)
  }

  return {
    async ack(leases) {
      const results: ItemResult[] = []
      for (let from = 0; from < leases.length; from += ackSize) {
        results.push(...(await ackSome(leases.slice(from, from + ackSize))))
      }
      return results
    },
    giveBack: (lease, { counted, delayMs }) =>
      settle(lease, ({ attempt, entryId }) =>
        redis.streamGiveBack(ready, delayed, entryId, counted ? attempt : attempt - 1, delayMs),
      ),
    async extend(lease, leaseMs) {
      if (!isHeld(lease)) throw leaseLost(lease.id)
      const from = clock.now()
      const claimed = await redis.xclaim(ready, group, group, 0, lease.entryId, 'JUSTID')
      if (claimed.length === 0) throw leaseLost(lease.id)
      lease.leaseUntil = from + leaseMs
      return lease.leaseUntil
    },
    bury: (lease, { code, detail }) =>
      settle(lease, ({ entryId }) => {
        const text = detail === undefined ? code : `${code}: ${detail}`
        return redis.streamBury(ready, dead, entryId, text, deadKept.count, deadKept.ageMs)
      }),
  }
}
