import { describeError, type Logger } from '@forebay/kernel'
import type { Redis } from 'ioredis'
import { group } from './scripts.ts'

/** Longest single wait at Redis. */
const blockMsMax = 5_000
/** What an answer may take beyond the wait before its connection is taken for dead. */
const graceMs = 5_000

/** The connection on which one stream is waited for: one read after the other, and the one under way can be ended. */
export class BlockingReader {
  readonly #client: Redis
  readonly #key: string
  #clientId: Promise<number | undefined> | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waiting = false
  #closed = false

  constructor(options: { redis: Redis; key: string; logger: Logger }) {
    const { key, logger, redis } = options
    this.#key = key
    this.#client = redis.duplicate({ lazyConnect: true, commandTimeout: blockMsMax + graceMs })
    this.#client.on('error', (err) => logger.warn({ error: describeError(err) }, 'redis connection error'))
    this.#client.on('close', () => {
      this.#clientId = undefined
    })
  }

  /** Waits its turn, then for up to five seconds for up to `max` entries: Redis' answer, nothing when ended or closed. */
  read(max: number): Promise<unknown> {
    const read = this.#last.then(() => this.#read(max))
    this.#last = read.catch(() => undefined)
    return read
  }

  /** Ends the read that waits now. `commands` is a connection that does not wait. */
  async end(commands: Redis): Promise<void> {
    const id = this.#waiting ? await this.#clientId : undefined
    if (id !== undefined && this.#waiting) await commands.client('UNBLOCK', id)
  }

  /** Ends the read under way; later ones answer none. */
  async close(commands: Redis): Promise<void> {
    this.#closed = true
    // On a connection that is gone, the read has ended already.
    await this.end(commands).catch(() => undefined)
    await this.#last
    this.#client.disconnect()
  }

  async #read(max: number): Promise<unknown> {
    if (this.#closed) return null
    if (this.#client.status === 'wait' || this.#client.status === 'end') await this.#client.connect()
    this.#clientId ??= this.#client.client('ID').catch(() => undefined)
    await this.#clientId
    this.#waiting = true
    try {
      const what = ['GROUP', group, group, 'COUNT', max, 'BLOCK', blockMsMax, 'STREAMS', this.#key, '>']
      return await this.#client.callBuffer('XREADGROUP', what)
    } catch (err) {
      // An answer that is late may never come: what it leased runs out.
      if (err instanceof Error && /timed out/i.test(err.message)) this.#client.disconnect(true)
      throw err
    } finally {
      this.#waiting = false
    }
  }
}
