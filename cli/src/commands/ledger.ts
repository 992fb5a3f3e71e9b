import type { Command } from 'commander'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { count, money, table, time } from '../text.ts'

interface Drift {
  entries: number
  ledger_nano: number
  recomputed_nano: number
  drift_nano: number
  unmatched: number
}

interface Entry {
  id: number
  kind: string
  request_id: string
  tenant: string | null
  project: string | null
  model: string | null
  amount_nano: number
  currency: string
  gpu_ms: number | null
  corrects: number | null
  reason: string | null
  occurred_at: number
}

/** `forebay ledger …`, for an admin key. */
export function addLedgerCommands(program: Command, cli: Cli): void {
  const ledger = examples(
    program.command('ledger').description('what was charged, entry by entry; needs an admin key'),
    'forebay ledger recompute',
    'forebay ledger list --request req_123',
    "forebay ledger correct 1234 --amount-nano -5000 --reason 'wrong price'",
    "forebay ledger credit acme --amount-nano -1000000000 --reason 'outage of May 3'",
  )

  const recompute = ledger
    .command('recompute')
    .description('compute every charge anew from raw usage and the price book; exits with 3 when any differs')
  onRun<[]>(cli, recompute, async ({ api, out }) => {
    const drift = await api().call<Drift & { tenants: (Drift & { tenant: string })[] }>('GET', '/admin/ledger/drift')
    const row = (name: string, d: Drift) => [
      name,
      d.entries,
      d.ledger_nano,
      d.recomputed_nano,
      d.drift_nano,
      d.unmatched,
    ]
    out.data(drift, () =>
      table(
        ['TENANT', 'ENTRIES', 'LEDGER (NANO)', 'RECOMPUTED', 'DRIFT', 'UNMATCHED'],
        [...drift.tenants.map((tenant) => row(tenant.tenant, tenant)), row('total', drift)],
      ),
    )
    if (drift.drift_nano === 0 && drift.unmatched === 0) {
      out.note(`No drift in ${count(drift.entries, 'entry').replace('entrys', 'entries')}.`)
      return exitCodes.ok
    }
    out.note('The ledger differs from what raw usage and the price book say.')
    return exitCodes.linesFailed
  })

  const list = ledger
    .command('list')
    .description('entries, newest first')
    .option('--tenant <id>', 'of this tenant')
    .option('--request <id>', 'of this request, with its corrections')
    .option('--batch <id>', 'of this batch')
    .option('--kind <kind>', 'usage, cache_hit, adjustment, credit or idle')
    .option('--limit <n>', 'at most so many', wholeNumber(1), 100)
  type ListOptions = { tenant?: string; request?: string; batch?: string; kind?: string; limit: number }
  onRun<[], ListOptions>(cli, list, async ({ api, out }, _args, options) => {
    const { data } = await api().call<{ data: Entry[] }>('GET', '/admin/ledger', { query: { ...options } })
    out.data(data, () => entries(data))
    return exitCodes.ok
  })

  const correct = ledger
    .command('correct')
    .argument('<entry>', 'the id of the entry', wholeNumber(1))
    .description('add an entry that corrects another')
    .requiredOption('--amount-nano <n>', 'nano-units added to what was charged, negative to take off', integer)
    .requiredOption('--reason <text>', 'why')
  onRun<[number], { amountNano: number; reason: string }>(cli, correct, async ({ api, out }, [entry], options) => {
    const body = { kind: 'adjustment', entry, amount_nano: options.amountNano, reason: options.reason }
    const made = await api().call<Entry>('POST', '/admin/ledger/corrections', { body })
    out.data(made, () => entries([made]))
    return exitCodes.ok
  })

  const credit = ledger
    .command('credit')
    .argument('<tenant>', 'who gets it')
    .description('give a tenant a credit')
    .requiredOption('--amount-nano <n>', 'nano-units, negative', integer)
    .requiredOption('--reason <text>', 'why')
    .option('--project <id>', 'to this project')
  type CreditOptions = { amountNano: number; reason: string; project?: string }
  onRun<[string], CreditOptions>(cli, credit, async ({ api, out }, [tenant], { amountNano, reason, project }) => {
    const body = { kind: 'credit', tenant, project, amount_nano: amountNano, reason }
    const made = await api().call<Entry>('POST', '/admin/ledger/corrections', { body })
    out.data(made, () => entries([made]))
    return exitCodes.ok
  })
}

function integer(value: string): number {
  return Number(value)
}

function entries(rows: readonly Entry[]): string {
  return table(
    ['ID', 'TIME', 'KIND', 'TENANT', 'PROJECT', 'MODEL', 'AMOUNT', 'GPU MS', 'OF'],
    rows.map((row) => [
      ...[String(row.id), time(row.occurred_at), row.kind, row.tenant, row.project, row.model],
      ...[
        money(row.amount_nano, row.currency),
        row.gpu_ms,
        row.corrects === null ? row.request_id : String(row.corrects),
      ],
    ]),
  )
}
