import { type Clock, ForebayError } from '@forebay/kernel'
import pg from 'pg'

/** Held while a process uses the embedded database; Postgres lets go of it by itself when that process dies. */
export interface Lock {
  /** Resolves when the connection that holds the lock is gone: Postgres died, or `release` was called. */
  readonly lost: Promise<void>
  /** Makes a database when it is not there yet. */
  createDatabase(name: string): Promise<void>
  release(): Promise<void>
}

// Any number will do, as long as it stays the same: "fore" in ASCII.
const lockKey = 0x666f7265

/**
 * Takes the lock that says "this process uses this database", over a connection kept open for it. Waits 2 s, for a
 * process killed a moment ago; then throws `conflict`, naming the process that has it.
 */
export async function takeLock(options: { url: string; dataDir: string; clock: Clock }): Promise<Lock> {
  const { url, dataDir, clock } = options
  const client = new pg.Client({
    connectionString: url,
    application_name: `forebay-owner-${process.pid}`,
    connectionTimeoutMillis: 10_000,
  })
  const lost = new Promise<void>((resolve) => {
    client.on('error', () => resolve())
    client.on('end', () => resolve())
  })
  try {
    await client.connect()
    const deadline = clock.now() + 2_000
    while (!(await tryLock(client))) {
      if (clock.now() >= deadline) throw inUse(dataDir, await holder(client))
      await clock.sleep(50)
    }
  } catch (err) {
    await client.end().catch(() => undefined)
    throw err
  }
  return {
    lost,
    createDatabase: (name) => createDatabase(client, name),
    release: () => client.end().catch(() => undefined),
  }
}

async function tryLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [lockKey])
  return rows[0]?.locked === true
}

async function holder(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT a.application_name AS name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.objid = $1 AND l.granted`,
    [lockKey],
  )
  return rows[0]?.name.replace('forebay-owner-', '') ?? 'unknown'
}

async function createDatabase(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
  if (rows.length === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
}

function inUse(dataDir: string, pid: string): ForebayError {
  return new ForebayError(
    'conflict',
    `Another Forebay process (pid ${pid}) uses the database in ${dataDir}. Stop it, or set FOREBAY_DATA_DIR to another folder.`,
  )
}
