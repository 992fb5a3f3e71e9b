import { loadCatalogue } from '@forebay/capacity'
import { fitModel, pickModel, vllmCommand } from '@forebay/model-registry'
import { loadPools } from '@forebay/pools'
import type { Command } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { addRolloutCommands } from './rollouts.ts'

interface FlagsOptions {
  version?: string
  variant?: string
  gpu?: string
}

/** `forebay models …` */
export function addModelsCommand(program: Command, cli: Cli): void {
  const models = examples(
    program.command('models').description('the models that are served now, and how those of the file are run'),
    'forebay models',
    'forebay models flags llama-8b --variant fp8 --gpu H100',
    'forebay models rollout llama-8b --to b --weight 10 --steps 25,50,100',
    'forebay models rollback llama-8b',
  )
  addRolloutCommands(models, cli)

  const list = models.command('list', { isDefault: true }).description('the models that are served now')
  onRun<[]>(cli, list, async ({ api, out }) => {
    const { data } = await api().call<Page<{ id: string }>>('GET', '/v1/models')
    out.data(data, () => data.map((model) => model.id).join('\n'))
    if (data.length === 0) out.note('No model is served: is a worker running?')
    return exitCodes.ok
  })

  const flags = models
    .command('flags')
    .argument('<name>')
    .description('print the command that starts vLLM with a model of forebay.config.yaml; needs no gateway')
    .option('--version <version>', 'the last one when not given')
    .option('--variant <name>', 'the first one when not given')
    .option('--gpu <name>', 'check that it fits, such as H100; names as in `forebay plan`')
  onRun<[string], FlagsOptions>(cli, flags, async ({ cwd, out, settings }, [name], options) => {
    const { config } = settings()
    const set = await loadPools({ config, cwd, env: cli.surroundings.env, queueUrlDefault: config.databaseUrl }).catch(
      (err: unknown) => {
        throw usageFailure(err instanceof Error ? err.message : String(err))
      },
    )
    const picked = pickModel(set.models ?? [], { name, version: options.version, variant: options.variant })
    const { args, env } = vllmCommand(picked)
    const memory = options.gpu === undefined ? null : fitModel(await loadCatalogue(), picked, options.gpu)
    out.data({ env, args, memory }, () =>
      [...Object.entries(env).map(([key, value]) => `${key}=${value}`), ...args].join(' '),
    )
    if (memory) out.note(`It fits: ${memory.told}`)
    return exitCodes.ok
  })
}
