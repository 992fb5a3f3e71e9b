import { engineMemory, findGpu, findModel, guessModel, loadCatalogue, parsePrecision } from '@forebay/capacity'
import { ForebayError } from '@forebay/kernel'
import { type PickedModel, pickModel, vllmCommand } from '@forebay/model-registry'
import { loadPools } from '@forebay/pools'
import type { Command } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'

interface FlagsOptions {
  version?: string
  variant?: string
  gpu?: string
}

// Of a model whose variant does not say how long its requests may be.
const contextUnsaid = 8_192

/** `forebay models …` */
export function addModelsCommand(program: Command, cli: Cli): void {
  const models = examples(
    program.command('models').description('the models that are served now, and how those of the file are run'),
    'forebay models',
    'forebay models flags llama-8b --variant fp8 --gpu H100',
  )

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
    const memory = options.gpu === undefined ? null : await memoryOn(options.gpu, picked)
    out.data({ env, args, memory }, () =>
      [...Object.entries(env).map(([key, value]) => `${key}=${value}`), ...args].join(' '),
    )
    if (memory) out.note(`It fits: ${memory.told}`)
    return exitCodes.ok
  })
}

/** What the model takes on its GPUs. Throws `invalid_value` with the numbers when it does not fit. */
async function memoryOn(gpuName: string, { model, variant, version }: PickedModel) {
  const catalogue = await loadCatalogue()
  const gpu = findGpu(catalogue, gpuName)
  const source = version?.source ?? model.source
  const shape =
    model.shape === undefined
      ? (guessModel(catalogue, source) ?? guessModel(catalogue, model.source))
      : findModel(catalogue, model.shape)
  if (!shape) {
    const text = `The catalogue has no model like '${source}': name one of its models in the model's shape.`
    throw new ForebayError('invalid_value', text, { param: 'shape' })
  }
  const gpus = variant.tensorParallel * variant.pipelineParallel
  const contextTokens = variant.contextTokens ?? contextUnsaid
  const precision = parsePrecision((variant.quantization ?? 'none').replace(/_marlin$/, ''))
  const memory = engineMemory({ model: shape, precision, gpu, gpus, contextTokens })
  const gb = (value: number) => `${value.toFixed(1)} GB`
  const told =
    `${gb(memory.weightsGb)} of weights and ${gb(memory.runtimeGb)} of runtime in ${gb(memory.usableGb)} of ${gpus} × ${gpu.name}, ` +
    `${gb(memory.kvRoomGb)} left for the KV cache, ${gb(memory.kvPerRequestGb)} a request of ${contextTokens} tokens.`
  if (memory.requestsMax > 0) return { ...memory, told }
  const way = 'Take more GPUs (tensorParallel), a smaller quantization or a shorter contextTokens.'
  throw new ForebayError('invalid_value', `${model.name} (${variant.name}) does not fit: ${told} ${way}`, {
    param: 'gpu',
  })
}
