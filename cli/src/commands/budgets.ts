import type { Command } from 'commander'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { money, table } from '../text.ts'

interface Budget {
  id: string
  tenant: string
  scope: string
  scope_id: string
  period: string
  soft_nano: number | null
  hard_nano: number | null
  currency: string
  spent_nano: number
  held_nano: number
}

/** `forebay budgets …`, for an admin key. */
export function addBudgetsCommands(program: Command, cli: Cli): void {
  const budgets = examples(
    program.command('budgets').description('what may be spent in a day, a month or in all; needs an admin key'),
    'forebay budgets set acme --hard-nano 50000000000 --soft-nano 40000000000',
    'forebay budgets set acme --project search --period day --hard-nano 1000000000',
    'forebay budgets list --json',
  )

  const set = budgets
    .command('set')
    .argument('<tenant>')
    .description('set the limits of a tenant, or of a project or key of it')
    .option('--project <id>', 'for this project alone')
    .option('--key <id>', 'for this API key alone')
    .option('--period <period>', 'day, month or total, by UTC', 'month')
    .option('--soft-nano <n>', 'an event tells when so many nano-units are spent', wholeNumber(0))
    .option('--hard-nano <n>', 'nothing is accepted that may go beyond so many nano-units', wholeNumber(0))
  type SetOptions = { project?: string; key?: string; period: string; softNano?: number; hardNano?: number }
  onRun<[string], SetOptions>(cli, set, async ({ api, out }, [tenant], options) => {
    const { hardNano, key, period, project, softNano } = options
    const body = { tenant, project, key, period, soft_nano: softNano, hard_nano: hardNano }
    const made = await api().call<Budget>('PUT', '/admin/budgets', { body })
    out.data(made, () => shown([made]))
    return exitCodes.ok
  })

  const list = budgets
    .command('list')
    .description('the budgets, and what is spent and held in their present period')
    .option('--tenant <id>', 'of this tenant')
  onRun<[], { tenant?: string }>(cli, list, async ({ api, out }, _args, { tenant }) => {
    const { data } = await api().call<{ data: Budget[] }>('GET', '/admin/budgets', { query: { tenant } })
    out.data(data, () => shown(data))
    return exitCodes.ok
  })

  const remove = budgets.command('delete').argument('<id>').description('take a budget away')
  onRun<[string]>(cli, remove, async ({ api, out }, [id]) => {
    const deleted = await api().call('DELETE', `/admin/budgets/${encodeURIComponent(id)}`)
    out.data(deleted, () => '')
    out.note(`Deleted ${id}.`)
    return exitCodes.ok
  })
}

function shown(rows: readonly Budget[]): string {
  const amount = (nano: number | null, currency: string) => (nano === null ? null : money(nano, currency))
  return table(
    ['ID', 'TENANT', 'FOR', 'PERIOD', 'SPENT', 'HELD', 'SOFT', 'HARD'],
    rows.map((row) => [
      ...[row.id, row.tenant, `${row.scope} ${row.scope_id}`, row.period, amount(row.spent_nano, row.currency)],
      ...[
        amount(row.held_nano, row.currency),
        amount(row.soft_nano, row.currency),
        amount(row.hard_nano, row.currency),
      ],
    ]),
  )
}
