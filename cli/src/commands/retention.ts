import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { table } from '../text.ts'

interface Kept {
  input_days: number | null
  output_days: number | null
  audit_days: number | null
  cache_seconds: number | null
}

interface TenantRetention {
  tenant: string
  zero: boolean
  keep_live: boolean
  own: Kept
  in_force: Kept
}

type Wish = number | 'default'

interface Wishes {
  inputs?: Wish
  outputs?: Wish
  audit?: Wish
  cache?: Wish
  zero?: 'on' | 'off'
  keepLive?: 'on' | 'off'
}

/** `forebay retention …`, for an admin key. */
export function addRetentionCommands(program: Command, cli: Cli): void {
  const retention = examples(
    program.command('retention').description('how long what of a tenant is kept; needs an admin key'),
    'forebay retention get acme',
    'forebay retention set acme --inputs 7 --outputs 7 --audit 365',
    'forebay retention set acme --audit default',
    'forebay retention set acme --zero on',
  )

  const get = retention.command('get').argument('<tenant>').description('what holds for a tenant')
  onRun<[string]>(cli, get, async ({ api, out }, [tenant]) => {
    const found = await api().call<TenantRetention>('GET', pathOf(tenant))
    out.data(found, () => text(found))
    return exitCodes.ok
  })

  const set = retention
    .command('set')
    .argument('<tenant>')
    .description('change what is given, also for what is there already; "default" goes back to the settings')
    .option('--inputs <days>', 'uploads, since their last use; 0: only as long as they are in use', numberOrDefault)
    .option('--outputs <days>', 'output and error files; 0: only as long as there is to download them', numberOrDefault)
    .option('--audit <days>', 'rows of the audit log', numberOrDefault)
    .option('--cache <seconds>', 'cached answers; 0: none', numberOrDefault)
    .addOption(
      new Option('--keep-live <state>', 'bodies and answers of live requests, as inputs and outputs').choices([
        'on',
        'off',
      ]),
    )
    .addOption(
      new Option('--zero <state>', 'zero retention: as 0 for inputs, outputs and answers').choices(['on', 'off']),
    )
  onRun<[string], Wishes>(
    cli,
    set,
    async ({ api, out }, [tenant], { audit, cache, inputs, keepLive, outputs, zero }) => {
      const body = {
        ...(inputs === undefined ? {} : { input_days: wishOf(inputs) }),
        ...(outputs === undefined ? {} : { output_days: wishOf(outputs) }),
        ...(audit === undefined ? {} : { audit_days: wishOf(audit) }),
        ...(cache === undefined ? {} : { cache_seconds: wishOf(cache) }),
        ...(keepLive === undefined ? {} : { keep_live: keepLive === 'on' }),
        ...(zero === undefined ? {} : { zero: zero === 'on' }),
      }
      if (Object.keys(body).length === 0)
        throw usageFailure('Nothing to set: give --inputs, --outputs, --audit, --cache, --keep-live or --zero.')
      const changed = await api().call<TenantRetention>('POST', pathOf(tenant), { body })
      out.data(changed, () => text(changed))
      return exitCodes.ok
    },
  )
}

function pathOf(tenant: string): string {
  return `/admin/tenants/${encodeURIComponent(tenant)}/retention`
}

function wishOf(wish: Wish): number | null {
  return wish === 'default' ? null : wish
}

function numberOrDefault(value: string): Wish {
  if (value === 'default') return value
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError('It must be a whole number from 0, or "default".')
  return Number(value)
}

function text({ in_force: now, keep_live: keepLive, own, tenant, zero }: TenantRetention): string {
  const row = (what: string, wish: number | null, value: number | null, unit: string, none: string) => [
    what,
    value === null ? none : `${value} ${unit}`,
    zero && value === 0 ? 'zero retention' : wish === null ? 'default' : 'own',
  ]
  const rows = [
    row('inputs', own.input_days, now.input_days, 'days', 'until deleted'),
    row('outputs', own.output_days, now.output_days, 'days', 'until deleted'),
    row('audit', own.audit_days, now.audit_days, 'days', 'for ever'),
    row('cache', own.cache_seconds, now.cache_seconds, 'seconds', ''),
  ]
  return `${tenant}${zero ? ': zero retention' : ''}${keepLive ? ': keeps live content' : ''}\n${table(['KEPT', 'FOR', 'BY'], rows)}`
}
