import { createHash } from 'node:crypto'
import { type Clock, describeError, ForebayError, type Logger, type Running, systemClock } from '@forebay/kernel'
import { type ClientBase, Pool, types } from 'pg'

// bigint columns hold counts, bytes and nano-units below 2^53; a larger one is a broken invariant, not a rounding.
types.setTypeParser(20, (text) => {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a safe integer`)
  return value
})

export type Row = Record<string, unknown>

/** What a statement runs on: the pool, or one transaction. */
export interface Queryable {
  /**
   * Runs one statement with bound parameters and returns its rows. With `prepare` the server keeps its plan for the
   * connection until a table in it changes or is analyzed: for what runs again and again and is no worse for a plan
   * made when its tables held less. Throws ForebayError `unavailable` when the server cannot be reached.
   */
  query<R extends Row>(sql: string, values?: readonly unknown[], options?: { prepare?: boolean }): Promise<R[]>
}

export interface Database extends Queryable, Running {
  /** Runs `work` in one transaction: committed when it resolves, rolled back when it throws. */
  tx<T>(work: (tx: Queryable) => Promise<T>): Promise<T>
  /** Calls `onNotify` for each NOTIFY on `channel`, reconnecting by itself; a hint only, since one sent meanwhile is lost. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<Running>
}

/** Opens a pool of connections. No connection is made until the first statement. */
export function openDatabase(options: {
  url: string
  logger: Logger
  connectionsMax?: number
  applicationName?: string
  clock?: Clock
}): Database {
  const { logger } = options
  const pool = new Pool({
    connectionString: options.url,
    max: options.connectionsMax ?? 8,
    application_name: options.applicationName ?? 'forebay',
    connectionTimeoutMillis: 10_000,
    // A server that vanished without closing its sockets must not hold a caller for ever.
    query_timeout: 60_000,
    keepAlive: true,
  })
  pool.on('error', (err) => logger.warn({ reason: describeError(err) }, 'idle database connection lost'))
  let stopped: Promise<void> | undefined

  const names = makeStatementNames()
  const on = (client: Pick<ClientBase, 'query'>): Queryable => ({
    query: async (sql, values, { prepare = false } = {}) => {
      try {
        const name = prepare ? names(sql) : undefined
        const bound = values ? [...values] : []
        const result = await (name ? client.query({ name, text: sql, values: bound }) : client.query(sql, bound))
        return result.rows
      } catch (err) {
        throw asForebayError(err)
      }
    },
  })

  return {
    ...on(pool as unknown as ClientBase),
    tx: async (work) => {
      const client = await pool.connect().catch((err: unknown) => {
        throw asForebayError(err)
      })
      // A connection that dies outside a statement emits 'error'; unheard, that would end the process.
      const onError = () => {}
      client.on('error', onError)
      let broken = false
      try {
        await client.query('BEGIN')
        const result = await work(on(client))
        await client.query('COMMIT')
        return result
      } catch (err) {
        await client.query('ROLLBACK').catch(() => {
          broken = true
        })
        throw asForebayError(err)
      } finally {
        client.removeListener('error', onError)
        client.release(broken)
      }
    },
    listen: (channel, onNotify) =>
      listenOn({ url: options.url, channel, onNotify, logger, clock: options.clock ?? systemClock }),
    stop: () => (stopped ??= pool.end()),
  }
}

// A kept plan takes memory on the server for each connection.
const preparedMax = 64

/** Names statements that came before; undefined for a first one, and for those beyond a number no program should have. */
function makeStatementNames(): (sql: string) => string | undefined {
  const names = new Map<string, string | undefined>()
  return (sql) => {
    if (!names.has(sql)) {
      if (names.size < preparedMax) names.set(sql, undefined)
      return undefined
    }
    const name = names.get(sql) ?? `forebay_${createHash('sha256').update(sql).digest('hex').slice(0, 24)}`
    names.set(sql, name)
    return name
  }
}

async function listenOn(options: {
  url: string
  channel: string
  onNotify: (payload: string) => void
  logger: Logger
  clock: Clock
}): Promise<Running> {
  const { url, channel, onNotify, logger, clock } = options
  const { Client } = (await import('pg')).default
  let stopped = false
  let client: InstanceType<typeof Client> | undefined
  let cancelRetry = () => {}
  const connect = async (): Promise<void> => {
    if (stopped) return
    const next = new Client({ connectionString: url, application_name: `forebay-listen`, keepAlive: true })
    let lost = false
    const onLost = () => {
      if (lost || stopped) return
      lost = true
      next.end().catch(() => {})
      cancelRetry = clock.after(500, () => void connect())
    }
    next.on('error', onLost)
    next.on('end', onLost)
    next.on('notification', (message) => onNotify(message.payload ?? ''))
    try {
      await next.connect()
      await next.query(`LISTEN ${channel}`)
      client = next
    } catch (err) {
      logger.warn({ channel, reason: describeError(err) }, 'cannot listen on the database; polling goes on')
      onLost()
    }
  }
  await connect()
  return {
    stop: async () => {
      stopped = true
      cancelRetry()
      await client?.end().catch(() => {})
    },
  }
}

// Class 08 (connection), 57P (shutdown), 53 (resources) and socket errors: the server, not the statement, is at fault.
function asForebayError(err: unknown): unknown {
  if (!(err instanceof Error) || err.name === 'ForebayError') return err
  const code = 'code' in err ? String(err.code) : ''
  const unreachable =
    /^(08|57P|53)/.test(code) ||
    /^E[A-Z]+$/.test(code) ||
    /terminated|timeout exceeded|read timeout|Connection ended|not queryable/i.test(err.message)
  if (!unreachable) return err
  return new ForebayError('unavailable', 'The database cannot be reached right now. Please retry.', {
    cause: err,
    retryAfterMs: 1000,
  })
}
