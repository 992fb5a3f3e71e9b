import { type Command, Option } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { count, table, time } from '../text.ts'

interface Erasure {
  id: string
  tenant: string
  selector: string
  target: string
  status: 'pending' | 'running' | 'completed'
  waiting_for: string | null
  files: number
  batches: number
  requests: number
  kept_files: string[]
  created_at: number
  completed_at: number | null
}

interface EraseOptions {
  tenant: string
  file?: string
  batch?: string
  key?: string
  endUser?: string
  all?: boolean
  yes?: boolean
  wait: boolean
}

const pollMs = 1_000

/** `forebay erase` and `forebay erasures`, for an admin key. */
export function addEraseCommands(program: Command, cli: Cli): void {
  const erase = examples(
    program
      .command('erase')
      .description('erase content for good: files, parts, cached answers, and what is a person’s in the audit log'),
    'forebay erase --tenant acme --batch batch_0194… --yes',
    'forebay erase --tenant acme --end-user ada@example.com --yes',
    'forebay erase --tenant acme --all --yes --json',
    'forebay erasures --tenant acme',
  )
    .requiredOption('--tenant <id>', 'of this tenant')
    .addOption(
      new Option('--file <id>', 'this file, and the batches that read or wrote it').conflicts([
        ...['batch', 'key', 'endUser', 'all'],
      ]),
    )
    .addOption(new Option('--batch <id>', 'this batch, with its files').conflicts(['key', 'endUser', 'all']))
    .addOption(new Option('--key <id>', 'what was sent with this API key').conflicts(['endUser', 'all']))
    .addOption(
      new Option(
        '--end-user <id>',
        'what was sent for this end user, as requests name them in safety_identifier or user',
      ).conflicts('all'),
    )
    .option('--all', 'everything of the tenant')
    .option('--yes', 'it cannot be undone, and that is understood')
    .option('--no-wait', 'do not wait until it is done')
  onRun<[], EraseOptions>(cli, erase, async ({ api, clock, interrupted, out }, _args, options) => {
    const { all, batch, endUser, file, key, tenant } = options
    if (!all && (file ?? batch ?? key ?? endUser) === undefined) {
      throw usageFailure('Say what to erase: --file, --batch, --key, --end-user or --all.')
    }
    if (!options.yes) throw usageFailure('What is erased cannot be brought back. Say --yes to erase it.')
    const query = { file, batch, key, all: all ? 'true' : undefined }
    const path = `/admin/tenants/${encodeURIComponent(tenant)}`
    let erasure =
      endUser === undefined
        ? await api().call<Erasure>('DELETE', `${path}/content`, { query })
        : await api().call<Erasure>('POST', `${path}/erasures`, { body: { end_user: endUser } })
    let told: string | null = null
    while (options.wait && erasure.status !== 'completed') {
      if (erasure.waiting_for !== told && erasure.waiting_for !== null) out.note(`Waiting for ${erasure.waiting_for}.`)
      told = erasure.waiting_for
      await clock.sleep(pollMs, interrupted)
      erasure = await api().call<Erasure>('GET', `/admin/erasures/${erasure.id}`)
    }
    out.data(erasure, () => shown([erasure]))
    if (erasure.kept_files.length > 0) {
      out.note(
        `Kept ${count(erasure.kept_files.length, 'input')} that other batches read, too: ${erasure.kept_files.join(', ')}.`,
      )
    }
    return exitCodes.ok
  })

  const list = program
    .command('erasures')
    .description('erasures of a tenant, newest first')
    .requiredOption('--tenant <id>', 'of this tenant')
  onRun<[], { tenant: string }>(cli, list, async ({ api, out }, _args, { tenant }) => {
    const path = `/admin/tenants/${encodeURIComponent(tenant)}/erasures`
    const { data } = await api().call<Page<Erasure>>('GET', path)
    out.data(data, () => shown(data))
    return exitCodes.ok
  })
}

function shown(rows: readonly Erasure[]): string {
  return table(
    ['ID', 'ERASES', 'STATUS', 'FILES', 'BATCHES', 'REQUESTS', 'ASKED', 'DONE'],
    rows.map((row) => [
      ...[
        row.id,
        `${row.selector} ${row.target}`,
        row.waiting_for === null ? row.status : `waits for ${row.waiting_for}`,
      ],
      ...[
        row.files,
        row.batches,
        row.requests,
        time(row.created_at),
        row.completed_at === null ? '' : time(row.completed_at),
      ],
    ]),
  )
}
