import { type Command, InvalidArgumentError } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, onRun } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { table } from '../text.ts'

interface Rollout {
  id: string
  model: string
  from: string | null
  to: string
  state: string
  weight: number
  steps: number[]
  reason: string
  fit?: { pool: string; told: string }[]
}

interface RolloutOptions {
  to: string
  weight?: number
  steps?: number[]
  stepSeconds?: number
  minSample?: number
  errorMargin?: number
  latencyRatio?: number
  qualityMargin?: number
  variant?: string
}

/** `forebay models rollout | rollouts | promote | rollback`, for an admin key. */
export function addRolloutCommands(models: Command, cli: Cli): void {
  const rollout = models
    .command('rollout')
    .argument('<model>')
    .description('give a version of a model a share of its requests; needs an admin key')
    .requiredOption('--to <version>', 'a version that some pool of forebay.config.yaml runs')
    .option('--weight <percent>', 'its share at first; 10 when not given', number)
    .option('--steps <list>', 'the shares that follow, such as 25,50,100 (the usual); none: an admin moves it', weights)
    .option('--step-seconds <seconds>', 'the least time at each share; 300 when not given', number)
    .option('--min-sample <requests>', 'that must have ended at each; 100 when not given', number)
    .option('--error-margin <share>', 'how many more may fail; 0.01 when not given', number)
    .option('--latency-ratio <times>', 'as long an answer may take; 1.25 when not given', number)
    .option('--quality-margin <share>', 'how many more answers may fail their check', number)
    .option('--variant <name>', 'the variant that its pools run; the first of the file when not given')
  onRun<[string], RolloutOptions>(cli, rollout, async ({ api, out }, [model], options) => {
    const { errorMargin, latencyRatio, minSample, qualityMargin, stepSeconds, steps, to, variant, weight } = options
    const made = await api().call<Rollout>('POST', '/admin/rollouts', {
      body: {
        ...{ model, to, weight, steps, variant, step_seconds: stepSeconds, min_sample: minSample },
        ...{ error_margin: errorMargin, latency_ratio: latencyRatio, quality_margin: qualityMargin },
      },
    })
    out.data(made, () => made.id)
    out.note(made.reason)
    for (const { pool, told } of made.fit ?? []) out.note(`${pool}: ${told}`)
    return exitCodes.ok
  })

  const list = models.command('rollouts').description('the rollouts, the latest first, and what moved them last')
  onRun<[]>(cli, list, async ({ api, out }) => {
    const { data } = await api().call<Page<Rollout>>('GET', '/admin/rollouts')
    out.data(data, () =>
      table(
        ['MODEL', 'FROM', 'TO', 'STATE', 'WEIGHT', 'STEPS', 'WHY'],
        data.map((row) => [row.model, row.from, row.to, row.state, `${row.weight} %`, row.steps.join(','), row.reason]),
      ),
    )
    return exitCodes.ok
  })

  for (const [verb, about] of [
    ['promote', 'give the version that is being rolled out every request'],
    ['rollback', 'give the old version every request again, also after a promotion'],
  ] as const) {
    const command = models.command(verb).argument('<model>').description(about)
    onRun<[string]>(cli, command, async ({ api, out }, [model]) => {
      const { data } = await api().call<Page<Rollout>>(
        'GET',
        `/admin/rollouts?limit=1&model=${encodeURIComponent(model)}`,
      )
      const [latest] = data
      if (!latest)
        throw usageFailure(`There is no rollout of '${model}'. Start one: forebay models rollout ${model} --to …`)
      const moved = await api().call<Rollout>('POST', `/admin/rollouts/${encodeURIComponent(latest.id)}/${verb}`)
      out.data(moved, () => '')
      out.note(moved.reason)
      return exitCodes.ok
    })
  }
}

function number(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value)) return value
  throw new InvalidArgumentError('It must be a number.')
}

function weights(text: string): number[] {
  return text === 'none' ? [] : text.split(',').map(number)
}
