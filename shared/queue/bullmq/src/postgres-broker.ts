import { type Clock, describeError, ForebayError, type Logger } from '@forebay/kernel'
import { displayUrl } from '@forebay/redis'
import { PostgresQueueBackend } from 'bullmq'
import { type Broker, backendOptions } from './broker.ts'
import { ListeningConnection } from './listening-connection.ts'

const schemaDefault = 'forebay_queue'
/** Clocks this far apart are never in the way. */
const clockOffMsMin = 2_000

/**
 * Postgres, by a `postgres://` URL; the tables live in a schema of their own, named by `?schema=` or `?search_path=`
 * (default `forebay_queue`) and created here. A pool of `?pool_max=` connections (default 4) and one that listens,
 * shared by all queues. Commits do not wait for the disk (`?synchronous_commit=on` makes them): a crash of the server
 * may forget the last half second, which at-least-once queues over a database of record cost delay, not work. Rejects
 * with `config_invalid` when this machine's clock is further from the server's than leases can bear.
 */
export async function openPostgresBroker(options: {
  url: string
  clock: Clock
  logger: Logger
  leaseMs: number
}): Promise<Broker> {
  const { commit, connectionString, max, schema } = parseUrl(options.url)
  const config = {
    connectionString,
    schema,
    max,
    migrate: true,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
    application_name: 'forebay-queue',
    options: `-c synchronous_commit=${commit}`,
  }
  const connection = new ListeningConnection(config)
  // Every queue listens on it.
  connection.setMaxListeners(0)
  connection.on('error', (err: unknown) => {
    options.logger.warn({ error: describeError(err) }, 'postgres queue connection error')
  })
  try {
    await connection.waitUntilReady()
  } catch (err) {
    await connection.close()
    throw new ForebayError(
      'unavailable',
      `The queue schema "${schema}" in Postgres at ${displayUrl(connectionString)} cannot be opened: start the ` +
        'server, or set the queue URL to one that runs, with a user who may create the schema.',
      { cause: err },
    )
  }
  const wrong = await clockFault(connection, options).catch(() => undefined)
  if (wrong !== undefined) {
    await connection.close()
    throw new ForebayError('config_invalid', wrong)
  }
  // Each backend "owns" the connection so that it hears when its LISTEN was lost; only `close` here closes it.
  return {
    claimsWake: false,
    claimsMax: 16,
    operations: (queue, timing) =>
      new PostgresQueueBackend(connection, queue, { connection: config, ...backendOptions(timing) }, true),
    waiter: (_queue, operations) => operations,
    async closeWaiter(waiter) {
      await waiter.disconnectBlocking()
      await waiter.reconnectBlocking()
    },
    // A notification reaches every listener.
    handBackWakeUp: async () => undefined,
    close: () => connection.close(),
  }
}

/**
 * BullMQ's leases in Postgres run on the clocks of its users: one far ahead would take the others' jobs from them, one
 * far behind would lose its own. Tells of a clock that is off by more than leases can bear.
 */
async function clockFault(
  connection: ListeningConnection,
  options: { clock: Clock; leaseMs: number },
): Promise<string | undefined> {
  const { clock, leaseMs } = options
  const before = clock.now()
  const { rows } = await connection.pool.query('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms')
  const after = clock.now()
  const server = Number(rows[0]?.ms)
  const offMs = before > server ? before - server : Math.min(0, after - server)
  if (Math.abs(offMs) <= Math.max(clockOffMsMin, leaseMs / 2)) return undefined
  const off = `${Math.round(Math.abs(offMs) / 1_000)} s ${offMs > 0 ? 'ahead of' : 'behind'}`
  return `The clock of this machine is ${off} that of the Postgres server which holds the queue, and leases there run by it: set both by NTP.`
}

function parseUrl(text: string): { connectionString: string; schema: string; max: number; commit: string } {
  const url = new URL(text)
  const take = (name: string) => {
    const value = url.searchParams.get(name)
    url.searchParams.delete(name)
    return value ?? undefined
  }
  const schema = take('schema') ?? take('search_path') ?? schemaDefault
  take('search_path')
  const commit = take('synchronous_commit') ?? 'off'
  const max = Number(take('pool_max') ?? 4)
  const valid =
    /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(schema) && /^(on|off|local|remote_write|remote_apply)$/.test(commit)
  if (!valid || !Number.isInteger(max) || max < 1) {
    throw new ForebayError(
      'config_invalid',
      `The queue URL ${displayUrl(text)} has a wrong schema, pool_max or synchronous_commit: use a plain name, a number from 1, and on or off.`,
    )
  }
  return { connectionString: url.href, schema, max, commit }
}
