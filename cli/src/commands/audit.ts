import { createPublicKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import type { ApiClient } from '../api-client.ts'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { count, table, time } from '../text.ts'

interface Verification {
  tenant: string
  blocks: number
  entries: number
  erased: number
  retired: number
  checkpoints: number
  key_ids: string[]
  findings: { kind: string; block: number; id: string | null; text: string }[]
  last_block: number
  has_more: boolean
  unsealed: number
}

interface Checkpoint {
  block: number
  hash: string
  signed_at_ms: number
  key_id: string
  public_key: string
}

interface AuditRow {
  id: string
  model: string
  lane: string
  outcome: string
  status_code: number
  attempts: number
  source: string
  pool: string
  why?: string | null
  usage: { input_tokens: number; output_tokens: number }
  timings: { total_ms: number }
  finished_at: string
}

interface Filters {
  tenant: string
  batch?: string
  key?: string
  model?: string
  outcome?: string
  start?: string
  end?: string
}

/** `forebay audit …`, for an admin key. */
export function addAuditCommands(program: Command, cli: Cli): void {
  const audit = examples(
    program.command('audit').description('the audit log: one row per finished request; needs an admin key'),
    'forebay audit verify',
    'forebay audit verify --tenant acme --public-key audit.pub',
    'forebay audit list --tenant acme --outcome failed --start 2026-11-01',
    'forebay audit list --tenant acme --why --limit 20',
    'forebay audit export --tenant acme -o acme.jsonl',
  )

  const verify = audit
    .command('verify')
    .description(
      'compute the hash chains anew from the rows, and check the signed checkpoints; 3 when something differs',
    )
    .option('--tenant <id>', 'only of this tenant')
    .option('--public-key <file>', 'accept only checkpoints signed by this key (PEM)')
  onRun<[], { tenant?: string; publicKey?: string }>(cli, verify, async ({ api, out }, _args, options) => {
    const key = options.publicKey === undefined ? undefined : await publicKeyOf(options.publicKey)
    const tenants =
      options.tenant === undefined
        ? (await api().call<Page<{ id: string }>>('GET', '/admin/tenants')).data.map(({ id }) => id)
        : [options.tenant]
    const results: Verification[] = []
    for (const tenant of tenants) {
      const result = await verifyTenant(api(), tenant)
      if (key !== undefined) await checkKeys(api(), result, key)
      results.push(result)
    }
    const faulty = results.some((result) => result.findings.length > 0)
    out.data(
      results.map(({ has_more: _, ...result }) => result),
      () =>
        [
          table(
            ['TENANT', 'BLOCKS', 'ENTRIES', 'ERASED', 'RETIRED', 'CHECKPOINTS', 'UNSEALED', 'RESULT'],
            results.map((r) => [
              ...[r.tenant, r.blocks, r.entries, r.erased, r.retired, r.checkpoints, r.unsealed],
              r.findings.length > 0 ? count(r.findings.length, 'finding') : `verified${retiredText(r.retired)}`,
            ]),
          ),
          ...results.flatMap((r) => r.findings.map(({ kind, text }) => `${r.tenant}: ${kind}: ${text}`)),
        ].join('\n'),
    )
    return faulty ? exitCodes.differs : exitCodes.ok
  })

  const list = filtered(audit.command('list').description('rows, newest first')).option(
    '--limit <n>',
    'at most so many',
    wholeNumber(1),
    100,
  )
  list.option('--why', 'where each live request went, and why')
  onRun<[], Filters & { limit: number; why?: boolean }>(cli, list, async ({ api, out }, _args, { why, ...options }) => {
    const rows: AuditRow[] = []
    for await (const page of pages(api(), options, Math.min(options.limit, 1_000))) {
      rows.push(...page)
      if (rows.length >= options.limit) break
    }
    const shown = rows.slice(0, options.limit)
    const routed = () =>
      table(
        ['ID', 'MODEL', 'POOL', 'FINISHED', 'WHY'],
        shown.map((row) => [row.id, row.model, row.pool, time(row.finished_at), row.why ?? null]),
      )
    out.data(shown, () =>
      why
        ? routed()
        : table(
            ['ID', 'MODEL', 'LANE', 'OUTCOME', 'STATUS', 'ATTEMPTS', 'SOURCE', 'IN', 'OUT', 'MS', 'FINISHED'],
            shown.map((row) => [
              ...[row.id, row.model, row.lane, row.outcome, row.status_code, row.attempts, row.source],
              ...[row.usage.input_tokens, row.usage.output_tokens, row.timings.total_ms, time(row.finished_at)],
            ]),
          ),
    )
    return exitCodes.ok
  })

  const write = filtered(audit.command('export').description('all rows as JSONL, oldest first')).option(
    '-o, --output <file>',
    'to this file; to stdout when not given',
  )
  onRun<[], Filters & { output?: string }>(cli, write, async ({ api, out }, _args, { output, ...filters }) => {
    let rows = 0
    const lines = async function* () {
      for await (const page of pages(api(), { ...filters, order: 'asc' }, 1_000)) {
        rows += page.length
        yield Buffer.from(page.map((row) => `${JSON.stringify(row)}\n`).join(''))
      }
    }
    await out.bytes(lines(), output)
    out.note(`Exported ${count(rows, 'row')}.`)
    return exitCodes.ok
  })

  const checkpoints = audit
    .command('checkpoints')
    .description('the newest signed checkpoints, to be kept elsewhere')
    .requiredOption('--tenant <id>', 'of this tenant')
  onRun<[], { tenant: string }>(cli, checkpoints, async ({ api, out }, _args, { tenant }) => {
    const { data } = await api().call<Page<Checkpoint>>('GET', '/admin/audit/checkpoints', { query: { tenant } })
    out.data(data, () =>
      table(
        ['BLOCK', 'SIGNED', 'KEY', 'HASH'],
        data.map((c) => [c.block, time(new Date(c.signed_at_ms).toISOString()), c.key_id, c.hash]),
      ),
    )
    return exitCodes.ok
  })
}

function filtered(command: Command): Command {
  return command
    .requiredOption('--tenant <id>', 'of this tenant')
    .option('--batch <id>', 'of this batch')
    .option('--key <id>', 'of this API key')
    .option('--model <name>', 'of this model')
    .addOption(new Option('--outcome <how>', 'that ended so').choices(['succeeded', 'failed', 'cancelled']))
    .option('--start <time>', 'finished at this time or later')
    .option('--end <time>', 'finished before this time')
}

async function* pages(
  api: ApiClient,
  options: Filters & { order?: string },
  limit: number,
): AsyncGenerator<AuditRow[]> {
  const { tenant, batch, key, model, outcome, start, end, order } = options
  for (let after: string | undefined; ; ) {
    const query = { tenant, batch, key, model, outcome, start, end, order, limit, after }
    const page = await api.call<{ data: AuditRow[]; next: string | null }>('GET', '/admin/audit', { query })
    yield page.data
    if (page.next === null) return
    after = page.next
  }
}

async function verifyTenant(api: ApiClient, tenant: string): Promise<Verification> {
  let total: Verification | undefined
  do {
    const query = { tenant, after: total?.last_block ?? 0, limit: 50 }
    const part = await api.call<Verification>('GET', '/admin/audit/verify', { query })
    total = total === undefined ? part : added(total, part)
  } while (total.has_more)
  return total
}

/** Retention takes the oldest blocks: as many as it took, up to there. */
function retiredText(blocks: number): string {
  return blocks === 0 ? '' : `; rows up to block ${blocks} removed by retention`
}

function added(total: Verification, part: Verification): Verification {
  const sum = { ...part, findings: [...total.findings, ...part.findings] }
  for (const name of ['blocks', 'entries', 'erased', 'retired', 'checkpoints'] as const) sum[name] += total[name]
  sum.key_ids = [...new Set([...total.key_ids, ...part.key_ids])]
  return sum
}

/** Adds a finding when any checkpoint was signed by another key than the one the person trusts. */
async function checkKeys(api: ApiClient, result: Verification, publicKey: string): Promise<void> {
  const { data } = await api.call<Page<Checkpoint>>('GET', '/admin/audit/checkpoints', {
    query: { tenant: result.tenant, limit: 1_000 },
  })
  const trusted = new Set(data.filter((c) => pemOf(c.public_key) === publicKey).map((c) => c.key_id))
  for (const id of result.key_ids) {
    if (trusted.has(id)) continue
    const text = `checkpoints were signed by key ${id}, which is not the one given`
    result.findings.push({ kind: 'checkpoint', block: result.last_block, id: null, text })
  }
}

async function publicKeyOf(path: string): Promise<string> {
  try {
    return pemOf(await readFile(path, 'utf8'))
  } catch (err) {
    throw usageFailure(`${path} holds no public key in PEM (${err instanceof Error ? err.message : String(err)}).`)
  }
}

function pemOf(text: string): string {
  return createPublicKey(text).export({ format: 'pem', type: 'spki' }).toString()
}
