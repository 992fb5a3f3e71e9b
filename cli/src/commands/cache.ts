import { type Command, Option } from 'commander'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'

interface TenantCache {
  tenant: string
  exact: boolean
}

/** `forebay cache …`, for an admin key. */
export function addCacheCommands(program: Command, cli: Cli): void {
  const cache = examples(
    program.command('cache').description('cached answers; needs an admin key'),
    'forebay cache flush --tenant acme',
    'forebay cache set acme --exact off',
  )

  const flush = cache
    .command('flush')
    .description('serve no answer again that is stored so far')
    .option('--tenant <id>', 'of this tenant alone')
    .option('--model <name>', 'of this model alone')
  onRun<[], { tenant?: string; model?: string }>(cli, flush, async ({ api, out }, _args, { tenant, model }) => {
    const flushed = await api().call('POST', '/admin/cache/flush', { body: { tenant, model } })
    out.data(flushed, () => '')
    const of = [tenant && `tenant ${tenant}`, model && `model ${model}`].filter(Boolean).join(', ')
    out.note(`Flushed the cached answers of ${of || 'everything'}.`)
    return exitCodes.ok
  })

  const show = cache.command('show').argument('<tenant>').description('what a tenant wants of the cache')
  onRun<[string]>(cli, show, async ({ api, out }, [tenant]) => {
    const found = await api().call<TenantCache>('GET', pathOf(tenant))
    out.data(found, () => text(found))
    return exitCodes.ok
  })

  const set = cache
    .command('set')
    .argument('<tenant>')
    .description('switch a tenant’s cache on or off')
    .addOption(new Option('--exact <state>', 'equal deterministic requests').choices(['on', 'off']))
  onRun<[string], { exact?: string }>(cli, set, async ({ api, out }, [tenant], { exact }) => {
    const body = exact === undefined ? {} : { exact: exact === 'on' }
    const changed = await api().call<TenantCache>('POST', pathOf(tenant), { body })
    out.data(changed, () => text(changed))
    return exitCodes.ok
  })
}

function pathOf(tenant: string): string {
  return `/admin/tenants/${encodeURIComponent(tenant)}/cache`
}

function text({ tenant, exact }: TenantCache): string {
  return `${tenant}: exact cache ${exact ? 'on' : 'off'}`
}
