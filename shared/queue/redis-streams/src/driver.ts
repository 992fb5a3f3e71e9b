import { randomUUID } from 'node:crypto'
import { type Clock, describeError, type Logger } from '@forebay/kernel'
import {
  bodyTooLarge,
  type DriverCapabilities,
  type ItemResult,
  type Lease,
  leaseLost,
  OpenPolls,
  type OutboundMessage,
  type QueueDepth,
  type QueueDriver,
  queueClosed,
} from '@forebay/queue-port'
import { toRedisError } from '@forebay/redis'
import type { Redis } from 'ioredis'
import { type Entry, entriesIn, fieldsOf } from './entry.ts'
import { BlockingReader } from './reader.ts'
import { group, type ScriptedRedis } from './scripts.ts'

const capabilities: DriverCapabilities = {
  bodyBytesMax: 4 * 1024 * 1024,
  delayMsMax: 365 * 24 * 3_600_000,
  leaseMsMax: 24 * 3_600_000,
  leaseIsFixed: true,
  reportsLostLease: true,
  uncountedNack: true,
  depth: 'exact',
}

/** Dead letters kept. */
const deadKept = { count: 100_000, ageMs: 30 * 24 * 3_600_000 }
/** How many lost, due or dead messages one script moves: Redis does nothing else meanwhile. */
const moveSize = 200
/** How many messages one round trip adds, or acknowledges. */
const sendSize = 500
const tendMsMax = 1_000
const closeMsMax = 3_000

/**
 * A queue on a Redis stream, made for what is short and urgent: a message is claimed by the read that waits for it,
 * and one command sends it. Leases run by Redis' clock: a message whose holder was silent for `leaseMs` is delivered
 * again within a second more, found by whoever receives.
 */
export class RedisStreamsQueue implements QueueDriver {
  readonly name: string
  readonly capabilities = capabilities
  readonly #redis: ScriptedRedis
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #leaseMs: number
  readonly #keys: { readonly ready: string; readonly delayed: string; readonly dead: string }
  readonly #held = new WeakMap<Lease, Entry>()
  readonly #polls: OpenPolls
  readonly #reader: BlockingReader
  #cancelTend: (() => void) | undefined
  #tending = false
  #closing: Promise<void> | undefined

  constructor(options: { name: string; redis: ScriptedRedis; clock: Clock; logger: Logger; leaseMs: number }) {
    const { clock, leaseMs, logger, name, redis } = options
    this.name = name
    this.#redis = redis
    this.#clock = clock
    this.#logger = logger
    this.#leaseMs = leaseMs
    // In braces what places keys in a cluster: the scripts need all of a queue's on one node.
    const base = `forebay:stream:{${name}}`
    this.#keys = { ready: base, delayed: `${base}:delayed`, dead: `${base}:dead` }
    this.#polls = new OpenPolls({ clock, giveBack: (leases) => this.#giveBack(leases) })
    this.#reader = new BlockingReader({ redis, key: base, logger })
  }

  async ensure(): Promise<void> {
    await this.#call(() => this.#tend())
  }

  async send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    const results: ItemResult[] = []
    for (let from = 0; from < items.length; from += sendSize) {
      results.push(...(await this.#send(items.slice(from, from + sendSize))))
    }
    return results
  }

  /** In one round trip; each item has its own answer. */
  async #send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    const { bodyBytesMax } = capabilities
    const fits = ({ body }: OutboundMessage) => body.byteLength <= bodyBytesMax
    const failures = new Map<OutboundMessage, unknown>()
    const fitting = items.filter(fits)
    try {
      const answers = await this.#call(() => this.#add(fitting))
      for (const [i, item] of fitting.entries()) if (answers[i]?.[0]) failures.set(item, answers[i]?.[0])
    } catch (err) {
      for (const item of fitting) failures.set(item, err)
    }
    return items.map((item) => {
      const { body, id } = item
      if (!fits(item)) return { id, ok: false, error: bodyTooLarge(id, body.byteLength, bodyBytesMax) }
      const err = failures.get(item)
      return err === undefined ? { id, ok: true } : { id, ok: false, error: toRedisError(err, this.name) }
    })
  }

  /** Answers the failure of each, null where there was none. */
  async #add(items: readonly OutboundMessage[]): Promise<readonly (readonly [Error | null, unknown])[]> {
    const { delayed, ready } = this.#keys
    const sentAt = this.#clock.now()
    const [only] = items
    // One alone, as live jobs come, needs no pipeline.
    if (only && items.length === 1 && !only.delayMs) {
      await this.#redis.xadd(ready, '*', ...fieldsOf(only, sentAt))
      return []
    }
    const pipeline = this.#redis.pipeline() as ReturnType<Redis['pipeline']> & Pick<ScriptedRedis, 'streamDelay'>
    for (const item of items) {
      const { delayMs = 0 } = item
      const fields = fieldsOf(item, sentAt)
      if (delayMs <= 0) pipeline.xadd(ready, '*', ...fields)
      else {
        void pipeline.streamDelay(ready, delayed, randomUUID(), delayMs, ...fields)
        this.#tendIn(delayMs)
      }
    }
    return (await pipeline.exec()) ?? []
  }

  async receive(options: { max: number; waitMs: number; signal?: AbortSignal }): Promise<readonly Lease[]> {
    const { max, signal, waitMs } = options
    if (this.#closing || signal?.aborted) return []
    this.#cancelTend ??= this.#clock.after(0, () => this.#tendAgain())
    if (waitMs <= 0) return this.#call(() => this.#readNow(max))
    // A read that goes on for nobody would lease what another consumer waits for.
    const end = () => void this.#reader.end(this.#redis).catch(() => undefined)
    signal?.addEventListener('abort', end, { once: true })
    try {
      const start = () => this.#reading(() => this.#reader.read(max))
      return await this.#polls.wait({ max, leaseMs: this.#leaseMs, waitMs, signal, start })
    } catch (err) {
      throw toRedisError(err, this.name)
    } finally {
      signal?.removeEventListener('abort', end)
    }
  }

  async ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    const results: ItemResult[] = []
    for (let from = 0; from < leases.length; from += sendSize) {
      results.push(...(await this.#ack(leases.slice(from, from + sendSize))))
    }
    return results
  }

  async #ack(leases: readonly Lease[]): Promise<readonly ItemResult[]> {
    const entries = leases.map((lease) => this.#held.get(lease))
    const ids = entries.flatMap((entry) => (entry ? [entry.entryId] : []))
    try {
      const answers = ids.length > 0 ? await this.#call(() => this.#redis.streamAck(this.#keys.ready, ...ids)) : []
      const held = answers[Symbol.iterator]()
      return leases.map((lease, i): ItemResult => {
        this.#held.delete(lease)
        if (entries[i] && (answers.length === 0 || held.next().value === 1)) return { id: lease.id, ok: true }
        return { id: lease.id, ok: false, error: leaseLost(lease.id) }
      })
    } catch (err) {
      const error = toRedisError(err, this.name)
      return leases.map(({ id }) => ({ id, ok: false, error }))
    }
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    const { counted = true, delayMs } = options
    const { delayed, ready } = this.#keys
    await this.#settle(lease, ({ entryId, used }) =>
      this.#redis.streamGiveBack(ready, delayed, entryId, used + (counted ? 1 : 0), delayMs),
    )
    if (delayMs > 0) this.#tendIn(delayMs)
  }

  async extend(lease: Lease, leaseMs: number): Promise<number> {
    const entry = this.#held.get(lease)
    if (!entry) throw leaseLost(lease.id)
    const from = this.#clock.now()
    const { ready } = this.#keys
    const claimed = await this.#call(() => this.#redis.xclaim(ready, group, group, 0, entry.entryId, 'JUSTID'))
    if (claimed.length === 0) throw leaseLost(lease.id)
    lease.leaseUntil = from + Math.max(leaseMs, this.#leaseMs)
    return lease.leaseUntil
  }

  async deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    const text = reason.detail === undefined ? reason.code : `${reason.code}: ${reason.detail}`
    const { dead, ready } = this.#keys
    await this.#settle(lease, ({ entryId }) =>
      this.#redis.streamBury(ready, dead, entryId, text, deadKept.count, deadKept.ageMs),
    )
  }

  async depth(): Promise<QueueDepth> {
    const { dead, delayed, ready } = this.#keys
    const asOf = this.#clock.now()
    const pendingOf = async () => {
      const answer: unknown = await this.#redis.xpending(ready, group).catch((err: unknown) => {
        if (isNoGroup(err)) return [0]
        throw err
      })
      return Array.isArray(answer) ? Number(answer[0]) : 0
    }
    const [all, inFlight, later, buried] = await this.#call(() =>
      Promise.all([this.#redis.xlen(ready), pendingOf(), this.#redis.zcard(delayed), this.#redis.xlen(dead)]),
    )
    return { visible: Math.max(0, all - inFlight), inFlight, delayed: later, dead: buried, asOf }
  }

  async redrive(options: { max: number }): Promise<{ moved: number }> {
    const { dead, ready } = this.#keys
    let moved = 0
    while (moved < options.max) {
      const most = Math.min(moveSize, options.max - moved)
      const count = await this.#call(() => this.#redis.streamRedrive(ready, dead, most))
      moved += count
      if (count < most) break
    }
    return { moved }
  }

  async purge(): Promise<void> {
    const { dead, delayed, ready } = this.#keys
    await this.#call(() => this.#redis.streamPurge(ready, delayed, dead))
  }

  async close(): Promise<void> {
    this.#closing ??= this.#drain()
    await this.#closing
  }

  async #drain(): Promise<void> {
    this.#cancelTend?.()
    const ended = this.#polls.close(closeMsMax)
    await this.#reader.close(this.#redis)
    await ended
  }

  /** What a poll brought while nobody waited. The queue may be closing, so it asks Redis itself. */
  async #giveBack(leases: readonly Lease[]): Promise<void> {
    const { delayed, ready } = this.#keys
    const entries = leases.flatMap((lease) => this.#held.get(lease) ?? [])
    await Promise.all(entries.map(({ entryId, used }) => this.#redis.streamGiveBack(ready, delayed, entryId, used, 0)))
  }

  #readNow(max: number): Promise<Lease[]> {
    const what = ['GROUP', group, group, 'COUNT', max, 'STREAMS', this.#keys.ready, '>']
    return this.#reading(async () => entriesIn(await this.#redis.callBuffer('XREADGROUP', what)))
  }

  /** Leases what is read, making the group when it is not there (anew, after Redis lost its data). */
  async #reading(read: () => Promise<Entry[]>): Promise<Lease[]> {
    const entries = await read().catch(async (err: unknown) => {
      if (!isNoGroup(err)) throw err
      await this.#tend()
      return read()
    })
    const leaseUntil = this.#clock.now() + this.#leaseMs
    return entries.map((entry) => {
      const { attributes, body, id, sentAt: enqueuedAt, used } = entry
      const lease: Lease = { id, body, attributes, attempt: used + 1, enqueuedAt, leaseUntil }
      this.#held.set(lease, entry)
      return lease
    })
  }

  /** Looks for lost and due messages; answers in how many milliseconds to look again. */
  async #tend(): Promise<number> {
    const { delayed, ready } = this.#keys
    const [lost, againMs] = await this.#redis.streamTend(ready, delayed, this.#leaseMs, moveSize)
    if (lost > 0) this.#logger.info({ queue: this.name, jobs: lost }, 'lost leases recovered')
    const usualMs = Math.min(tendMsMax, Math.max(100, Math.floor(this.#leaseMs / 2)))
    return againMs < 0 ? usualMs : Math.min(usualMs, againMs)
  }

  async #tendAgain(): Promise<void> {
    if (this.#tending || this.#closing) return
    this.#tending = true
    let againMs = tendMsMax
    try {
      againMs = await this.#tend()
    } catch (err) {
      this.#logger.warn({ queue: this.name, error: describeError(err) }, 'lost leases could not be looked for')
    }
    this.#tending = false
    if (!this.#closing) this.#cancelTend = this.#clock.after(againMs, () => this.#tendAgain())
  }

  /** A message falls due then: where this process receives, it looks in time. */
  #tendIn(delayMs: number): void {
    if (this.#cancelTend === undefined || this.#closing || delayMs >= tendMsMax) return
    this.#clock.after(delayMs, () => this.#tendAgain())
  }

  async #settle(lease: Lease, act: (entry: Entry) => Promise<number>): Promise<void> {
    const entry = this.#held.get(lease)
    if (!entry) throw leaseLost(lease.id)
    const done = await this.#call(() => act(entry))
    this.#held.delete(lease)
    if (done === 0) throw leaseLost(lease.id)
  }

  async #call<R>(act: () => Promise<R>): Promise<R> {
    if (this.#closing) throw queueClosed(this.name)
    try {
      return await act()
    } catch (err) {
      throw toRedisError(err, this.name)
    }
  }
}

function isNoGroup(err: unknown): boolean {
  return err instanceof Error && /^NOGROUP|UNBLOCKED the stream key no longer exists/.test(err.message)
}
