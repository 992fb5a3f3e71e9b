import { randomBytes } from 'node:crypto'
import { migrate } from '@forebay/store'
import pg from 'pg'
import { provided } from './provided.ts'

/** A database of a test's own. */
export interface TestDatabase {
  readonly url: string
  /** Drops it, cutting whoever is still connected. */
  drop(): Promise<void>
}

/**
 * Makes an empty database, with Forebay's schema unless `migrated` is false. The schema is applied once per run, to a
 * template that the databases are copies of; test files may call this at the same time.
 */
export async function testDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const run = provided()
  if (!run) throw new Error('testDatabase works under vitest only, with test/support/src/global-setup.ts')
  const name = `forebay_${run.runId}_${randomBytes(6).toString('hex')}`
  await withClient(run.postgresUrl, async (client) => {
    const template = options.migrated === false ? 'template0' : await migratedTemplate(client, run)
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  })
  return {
    url: withDatabase(run.postgresUrl, name),
    drop: () =>
      withClient(run.postgresUrl, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      }),
  }
}

/** Drops every database of one run, on a server that outlives it. */
export async function dropRunDatabases(options: { url: string; runId: string }): Promise<void> {
  await withClient(options.url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [`forebay_${options.runId}_`],
    )
    for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`)
  })
}

async function migratedTemplate(client: pg.Client, run: { runId: string; postgresUrl: string }): Promise<string> {
  const template = `forebay_${run.runId}_template`
  if (await exists(client, template)) return template
  // One test file makes it, under another name until it is whole; the others wait.
  await client.query('SELECT pg_advisory_lock(hashtext($1))', [template])
  if (await exists(client, template)) return template
  const draft = `${template}_draft`
  await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
  await client.query(`CREATE DATABASE ${draft}`)
  await migrate({ url: withDatabase(run.postgresUrl, draft) })
  await client.query(`ALTER DATABASE ${draft} RENAME TO ${template}`)
  return template
}

async function exists(client: pg.Client, name: string): Promise<boolean> {
  return (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])).rows.length > 0
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    // Also lets go of the advisory lock.
    await client.end()
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
