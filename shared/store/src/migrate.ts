import { readdir, readFile } from 'node:fs/promises'
import { describeError, ForebayError } from '@forebay/kernel'
import pg from 'pg'

const folder = new URL('../migrations/', import.meta.url)
// Any constant will do: it keeps two processes from migrating at once.
const lockKey = 7_074_610_431

/**
 * Applies the numbered migrations that the database does not have yet, each in its own transaction, one process at a
 * time. Refuses a database that a newer Forebay has migrated. Returns the names applied.
 */
export async function migrate(options: { url: string }): Promise<string[]> {
  const client = new pg.Client({ connectionString: options.url, application_name: 'forebay-migrate' })
  await client.connect().catch((err: unknown) => {
    const { protocol, host, pathname } = new URL(options.url)
    const text = `The database at ${protocol}//${host}${pathname} cannot be opened: ${describeError(err)}. Start it, or name another with DATABASE_URL.`
    throw new ForebayError('unavailable', text)
  })
  try {
    await client.query('SELECT pg_advisory_lock($1)', [lockKey])
    await client.query(
      'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
    )
    const known = (await readdir(folder)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort()
    const rows = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY name')
    const applied = new Set(rows.rows.map((row) => row.name))
    const unknown = [...applied].filter((name) => !known.includes(name))
    if (unknown.length > 0) {
      throw new ForebayError(
        'config_invalid',
        `The database was migrated by a newer Forebay (${unknown.join(', ')}). Run that version or a later one.`,
      )
    }
    const fresh = known.filter((name) => !applied.has(name))
    for (const name of fresh) {
      const sql = await readFile(new URL(name, folder), 'utf8')
      await client.query('BEGIN')
      try {
        await client.query(sql)
        await client.query('INSERT INTO migrations (name) VALUES ($1)', [name])
        await client.query('COMMIT')
      } catch (err) {
        await client.query('ROLLBACK')
        throw new ForebayError('internal', `Migration ${name} failed and was rolled back.`, { cause: err })
      }
    }
    return fresh
  } finally {
    await client.end()
  }
}
