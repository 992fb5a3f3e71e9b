import type { Clock, Logger } from '@forebay/kernel'
import {
  type DriverCapabilities,
  type ItemResult,
  type Lease,
  OpenPolls,
  type OutboundMessage,
  type QueueDepth,
  type QueueDriver,
  queueClosed,
} from '@forebay/queue-port'
import { toRedisError } from '@forebay/redis'
import { keysOf, type StreamKeys } from './keys.ts'
import { BlockingReader } from './reader.ts'
import { group, type ScriptedRedis } from './scripts.ts'
import { sendToStream } from './sending.ts'
import { makeStreamSettler, type StreamSettler } from './settling.ts'
import { leasesIn, type StreamLease } from './stream-lease.ts'
import { Tender } from './tender.ts'

const capabilities: DriverCapabilities = {
  bodyBytesMax: 4 * 1024 * 1024,
  delayMsMax: 365 * 24 * 3_600_000,
  leaseMsMax: 24 * 3_600_000,
  leaseIsFixed: true,
  reportsLostLease: true,
  uncountedNack: true,
  depth: 'exact',
}

/** How many one read brings at most: the next are read while these are worked on and acknowledged. */
const readSize = 256
/** How many dead messages one script moves back: Redis does nothing else meanwhile. */
const redriveSize = 200
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
  readonly #leaseMs: number
  readonly #keys: StreamKeys
  readonly #settler: StreamSettler
  readonly #tender: Tender
  readonly #polls: OpenPolls
  readonly #reader: BlockingReader
  #closing: Promise<void> | undefined

  constructor(options: { name: string; redis: ScriptedRedis; clock: Clock; logger: Logger; leaseMs: number }) {
    const { clock, leaseMs, logger, name, redis } = options
    const keys = keysOf(name)
    this.name = name
    this.#redis = redis
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#keys = keys
    this.#settler = makeStreamSettler({ queue: name, keys, redis, clock })
    this.#tender = new Tender({ queue: name, keys, redis, clock, logger, leaseMs })
    this.#polls = new OpenPolls({ clock, giveBack: (leases) => this.#giveBack(leases) })
    this.#reader = new BlockingReader({ redis, key: keys.ready, logger })
  }

  async ensure(): Promise<void> {
    await this.#call(() => this.#tender.look())
  }

  send(items: readonly OutboundMessage[]): Promise<readonly ItemResult[]> {
    if (this.#closing) {
      return Promise.resolve(items.map(({ id }) => ({ id, ok: false, error: queueClosed(this.name) })))
    }
    const { bodyBytesMax } = capabilities
    return sendToStream({
      ...{ items, queue: this.name, keys: this.#keys, redis: this.#redis, clock: this.#clock, bodyBytesMax },
      onDelayed: (delayMs) => this.#tender.due(delayMs),
    })
  }

  async receive(options: { max: number; waitMs: number; signal?: AbortSignal }): Promise<readonly Lease[]> {
    const { signal, waitMs } = options
    const max = Math.min(options.max, readSize)
    if (this.#closing || signal?.aborted) return []
    this.#tender.start()
    if (waitMs <= 0) return this.#call(() => this.#reading(() => this.#readNow(max)))
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
    if (this.#closing) return leases.map(({ id }) => ({ id, ok: false, error: queueClosed(this.name) }))
    return this.#settler.ack(leases)
  }

  async nack(lease: Lease, options: { delayMs: number; counted?: boolean }): Promise<void> {
    const { counted = true, delayMs } = options
    await this.#call(() => this.#settler.giveBack(lease, { delayMs, counted }))
    if (delayMs > 0) this.#tender.due(delayMs)
  }

  extend(lease: Lease, leaseMs: number): Promise<number> {
    return this.#call(() => this.#settler.extend(lease, Math.max(leaseMs, this.#leaseMs)))
  }

  deadLetter(lease: Lease, reason: { code: string; detail?: string }): Promise<void> {
    return this.#call(() => this.#settler.bury(lease, reason))
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
      const most = Math.min(redriveSize, options.max - moved)
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

  close(): Promise<void> {
    this.#closing ??= this.#drain()
    return this.#closing
  }

  async #drain(): Promise<void> {
    this.#tender.stop()
    const ended = this.#polls.close(closeMsMax)
    await this.#reader.close(this.#redis)
    await ended
  }

  /** What a poll brought while nobody waited. */
  async #giveBack(leases: readonly Lease[]): Promise<void> {
    await Promise.all(leases.map((lease) => this.#settler.giveBack(lease, { delayMs: 0, counted: false })))
  }

  #readNow(max: number): Promise<unknown> {
    return this.#redis.callBuffer('XREADGROUP', ['GROUP', group, group, 'COUNT', max, 'STREAMS', this.#keys.ready, '>'])
  }

  /** Leases what is read, making the group when it is not there (anew, after Redis lost its data). */
  async #reading(read: () => Promise<unknown>): Promise<readonly StreamLease[]> {
    const answer = await read().catch(async (err: unknown) => {
      if (!isNoGroup(err)) throw err
      await this.#tender.look()
      return read()
    })
    return leasesIn(answer, { stream: this.#keys.ready, leaseUntil: this.#clock.now() + this.#leaseMs })
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
