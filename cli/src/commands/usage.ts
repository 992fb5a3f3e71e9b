import { type Command, Option } from 'commander'
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

interface UsagePage {
  data: UsageRow[]
  /** There are more rows after the last. */
  truncated?: boolean
}

const groups = ['model', 'batch', 'line', 'day', 'key', 'project', 'tenant']

/** `forebay usage` */
export function addUsageCommand(program: Command, cli: Cli): void {
  const usage = examples(
    program.command('usage').description('requests, tokens and cost, from the ledger'),
    'forebay usage --by day',
    'forebay usage --by batch --start 2026-01-01',
    'forebay usage --by line --batch batch_123 --json',
    'forebay usage --by project --csv',
    'forebay usage export --start 2026-01-01 > focus.csv',
  )
    .addOption(new Option('--by <what>', 'one row for each; model when not given').choices(groups))
    .addOption(new Option('--group-by <what>', 'the same').choices(groups).hideHelp())
    .option('--batch <id>', 'of this batch alone; --by line needs it')
    .option('--start <time>', 'from this time on')
    .option('--end <time>', 'before this time')
    .option('--csv', 'print CSV')
  type UsageOptions = { by?: string; groupBy?: string; batch?: string; start?: string; end?: string; csv?: boolean }
  onRun<[], UsageOptions>(cli, usage, async ({ api, out }, _args, options) => {
    const { batch, end, start } = options
    const by = options.by ?? options.groupBy ?? 'model'
    const data: UsageRow[] = []
    for (let after: string | undefined; ; ) {
      const query = { group_by: by, batch, start, end, after }
      const page = await api().call<UsagePage>('GET', '/v1/usage', { query })
      data.push(...page.data)
      after = page.data.at(-1)?.key ?? undefined
      if (page.truncated !== true || after === undefined) break
    }
    out.data(data, () =>
      options.csv === true
        ? csvOf(data)
        : table(
            [by.toUpperCase(), 'REQUESTS', 'TOKENS IN', 'TOKENS OUT', 'COST'],
            data.map((row) => [
              ...[row.key, row.requests, row.input_tokens, row.output_tokens],
              money(row.cost_nano, row.currency ?? 'USD'),
            ]),
          ),
    )
    return exitCodes.ok
  })

  const dump = usage
    .command('export')
    .description('what was charged, entry by entry, as CSV in the columns of FOCUS 1.2')
    .option('--start <time>', 'from this time on; 30 days ago when not given')
    .option('--end <time>', 'before this time')
    .option('--out <file>', 'to this file')
  type ExportOptions = { start?: string; end?: string; out?: string }
  onRun<[], ExportOptions>(cli, dump, async ({ api, out }, _args, { start, end, out: path }) => {
    await out.bytes(await api().download('/v1/usage/export', { start, end }), path)
    return exitCodes.ok
  })
}

/** The rows as CSV, every field the API gives. */
function csvOf(rows: readonly UsageRow[]): string {
  const names = Object.keys(rows[0] ?? { key: null })
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value)
    const safe = typeof value === 'string' && /^[=+@\t\r-]/.test(text) ? `'${text}` : text
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  return [names, ...rows.map((row) => names.map((name) => cell(new Map(Object.entries(row)).get(name))))]
    .map((line) => line.join(','))
    .join('\n')
}
