import { describeConfig, required } from '@forebay/config'
import { migrate } from '@forebay/store'
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

  const migration = program.command('migrate').description('bring the database of DATABASE_URL up to date')
  onRun<[]>(cli, migration, async ({ settings, out }) => {
    const applied = await migrate({ url: databaseUrl(settings().config) })
    out.data(applied, () => applied.join('\n'))
    out.note(applied.length > 0 ? `Applied ${count(applied.length, 'migration')}.` : 'The database is up to date.')
    return exitCodes.ok
  })
}

function databaseUrl(config: Parameters<typeof required>[0]): string {
  try {
    return required(config, 'databaseUrl', "'forebay migrate'")
  } catch (err) {
    throw usageFailure(err instanceof Error ? err.message : String(err))
  }
}
