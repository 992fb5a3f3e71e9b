import type { Command } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { count, table } from '../text.ts'

interface Depth {
  waiting: number
  in_flight: number
}

interface Pool {
  name: string
  region: string | null
  residency: string[]
  state: string
  reason: string | null
  models: string[]
  workers: number
  tokens_per_second: number
  in_flight: { realtime: number; standard: number; batch: number }
  depth: { realtime: Depth; standard: Depth; batch: Depth } | null
}

/** `forebay pools …`, for an admin key; `check` and `schema` need none. */
export function addPoolsCommands(program: Command, cli: Cli): void {
  const pools = examples(
    program.command('pools').description('the pools: how they are, and which of them are used; needs an admin key'),
    'forebay pools',
    'forebay pools drain eu-a',
  )

  const list = pools.command('list', { isDefault: true }).description('every pool, its queues and workers')
  onRun<[]>(cli, list, async ({ api, out }) => {
    const { data } = await api().call<Page<Pool>>('GET', '/admin/pools')
    out.data(data, () =>
      table(
        ['POOL', 'STATE', 'WORKERS', 'WAITING', 'IN FLIGHT', 'TOKENS/S', 'REGION', 'RESIDENCY', 'MODELS'],
        data.map((pool) => [
          ...[pool.name, pool.state, pool.workers, waiting(pool), sum(pool.in_flight), pool.tokens_per_second],
          ...[pool.region, pool.residency, pool.models],
        ]),
      ),
    )
    for (const { name, reason } of data) if (reason !== null) out.warn(`${name}: ${reason}`)
    return exitCodes.ok
  })

  for (const [verb, about, done] of [
    [
      'drain',
      'send it nothing new, and what waits there elsewhere',
      'gets nothing new; what waits there goes elsewhere.',
    ],
    ['undrain', 'use it again', 'is used again.'],
  ] as const) {
    const command = pools.command(verb).argument('<name>').description(about)
    onRun<[string]>(cli, command, async ({ api, out }, [name]) => {
      const pool = await api().call<Pool>('POST', `/admin/pools/${encodeURIComponent(name)}/${verb}`)
      out.data(pool, () => '')
      out.note(`${name} ${done}`)
      return exitCodes.ok
    })
  }

  const check = pools.command('check').description('read the configuration file and name its faults; needs no gateway')
  onRun<[]>(cli, check, async ({ cwd, out, settings }) => {
    const { loadPools } = await import('@forebay/pools')
    const { config } = settings()
    const found = await loadPools({
      config,
      cwd,
      env: cli.surroundings.env,
      queueUrlDefault: config.databaseUrl,
    }).catch((err: unknown) => {
      throw usageFailure(err instanceof Error ? err.message : String(err))
    })
    const names = found.pools.map((pool) => pool.name)
    out.data(names, () => names.join('\n'))
    out.note(`${found.file ?? 'The environment'} names ${count(names.length, 'pool')}.`)
    return exitCodes.ok
  })

  const schema = pools.command('schema').description('print the JSON schema of forebay.config.yaml, for editors')
  onRun<[]>(cli, schema, async ({ out }) => {
    const { poolsFileJsonSchema } = await import('@forebay/pools')
    const value = poolsFileJsonSchema()
    out.data(value, () => JSON.stringify(value, null, 2))
    return exitCodes.ok
  })
}

function waiting({ depth }: Pool): number | null {
  return depth && depth.realtime.waiting + depth.standard.waiting + depth.batch.waiting
}

function sum(inFlight: Pool['in_flight']): number {
  return inFlight.realtime + inFlight.standard + inFlight.batch
}
