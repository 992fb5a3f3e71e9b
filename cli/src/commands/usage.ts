import { type Command, Option } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { money, table } from '../text.ts'

interface UsageRow {
  /** What the row is for; null for what belongs to none. */
  key: string | null
  requests: number
  input_tokens: number
  output_tokens: number
  cost_nano: number
  currency?: string
}

/** `forebay usage` */
export function addUsageCommand(program: Command, cli: Cli): void {
  const usage = examples(
    program.command('usage').description('requests, tokens and cost, from the ledger'),
    'forebay usage --group-by day',
    'forebay usage --group-by batch --start 2026-01-01',
  )
    .addOption(
      new Option('--group-by <what>', 'one row for each')
        .choices(['model', 'batch', 'day', 'key', 'tenant'])
        .default('model'),
    )
    .option('--start <time>', 'from this time on')
    .option('--end <time>', 'before this time')
  onRun<[], { groupBy: string; start?: string; end?: string }>(cli, usage, async ({ api, out }, _args, options) => {
    const query = { group_by: options.groupBy, start: options.start, end: options.end }
    const { data } = await api().call<Page<UsageRow>>('GET', '/v1/usage', { query })
    out.data(data, () =>
      table(
        [options.groupBy.toUpperCase(), 'REQUESTS', 'TOKENS IN', 'TOKENS OUT', 'COST'],
        data.map((row) => [
          ...[row.key, row.requests, row.input_tokens, row.output_tokens],
          money(row.cost_nano, row.currency ?? 'USD'),
        ]),
      ),
    )
    return exitCodes.ok
  })
}
