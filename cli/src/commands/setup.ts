import { describeConfig, required } from '@forebay/config'
import { silentLogger, systemClock } from '@forebay/kernel'
import { createApiKey, ensureTenant, migrate, openDatabase } from '@forebay/store'
import type { Command } from 'commander'
import { type Cli, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { count, table } from '../text.ts'

/** `forebay config` and `forebay migrate`, which need no gateway. */
export function addSetupCommands(program: Command, cli: Cli): void {
  const config = program.command('config').description('every setting, its value here and where that is from')
  onRun<[]>(cli, config, async ({ settings, out }) => {
    const rows = describeConfig(settings())
    out.data(rows, () =>
      table(
        ['SETTING', 'VALUE', 'SOURCE', 'WHAT IT IS'],
        rows.map((row) => [
          row.setting,
          typeof row.value === 'number' ? String(row.value) : row.value,
          row.source,
          row.about,
        ]),
      ),
    )
    return exitCodes.ok
  })

  const migration = program
    .command('migrate')
    .description(
      "bring the database of DATABASE_URL up to date; FOREBAY_API_KEY becomes an admin key of the tenant 'default'",
    )
  onRun<[]>(cli, migration, async ({ settings, out }) => {
    const { config } = settings()
    const url = databaseUrl(config)
    const { apiKey } = config
    const applied = await migrate({ url })
    if (apiKey !== undefined) {
      await addAdminKey(url, apiKey)
      out.note(`The key of FOREBAY_API_KEY (…${apiKey.slice(-4)}) is an admin key of the tenant 'default'.`)
    }
    out.data(applied, () => applied.join('\n'))
    out.note(applied.length > 0 ? `Applied ${count(applied.length, 'migration')}.` : 'The database is up to date.')
    return exitCodes.ok
  })
}

// The first key of a new installation; further ones are made over the API.
async function addAdminKey(url: string, key: string): Promise<void> {
  const db = openDatabase({ url, logger: silentLogger, connectionsMax: 1 })
  try {
    await ensureTenant(db, { id: 'default', name: 'Default' })
    await createApiKey(db, { tenantId: 'default', name: 'first', role: 'admin', nowMs: systemClock.now(), key })
  } finally {
    await db.stop()
  }
}

function databaseUrl(config: Parameters<typeof required>[0]): string {
  try {
    return required(config, 'databaseUrl', "'forebay migrate'")
  } catch (err) {
    throw usageFailure(err instanceof Error ? err.message : String(err))
  }
}
