import { type Command, Option } from 'commander'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { table } from '../text.ts'

interface TenantCache {
  tenant: string
  exact: boolean
  semantic: boolean
  trust: { model: string; state: string; samples: number; errors: number }[]
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
    .addOption(
      new Option('--semantic <state>', 'questions that mean the same; on lets one that stopped measure anew').choices([
        'on',
        'off',
      ]),
    )
  onRun<[string], { exact?: string; semantic?: string }>(cli, set, async ({ api, out }, [tenant], wish) => {
    const body = Object.fromEntries(Object.entries(wish).map(([name, state]) => [name, state === 'on']))
    const changed = await api().call<TenantCache>('POST', pathOf(tenant), { body })
    out.data(changed, () => text(changed))
    return exitCodes.ok
  })
}

function pathOf(tenant: string): string {
  return `/admin/tenants/${encodeURIComponent(tenant)}/cache`
}

function text({ tenant, exact, semantic, trust }: TenantCache): string {
  const rows = trust.map(({ model, state, samples, errors }) => [model, state, samples, errors])
  const head = `${tenant}: exact cache ${exact ? 'on' : 'off'}, semantic cache ${semantic ? 'on' : 'off'}`
  return rows.length === 0 ? head : `${head}\n${table(['MODEL', 'SEMANTIC', 'SAMPLES', 'DIFFERENT'], rows)}`
}
