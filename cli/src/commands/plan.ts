import { resolve } from 'node:path'
import {
  bytesPerParam,
  type Catalogue,
  calculateMemory,
  calculateMonthlyCost,
  calculateMonthlyLlmCost,
  estimateGpus,
  findGpu,
  findModel,
  loadCatalogue,
  type ModelShape,
  parsePrecision,
  planCapacity,
  recommendStrategy,
} from '@forebay/capacity'
import { ForebayError } from '@forebay/kernel'
import { type Command, InvalidArgumentError } from 'commander'
import { type Cli, commaList, examples, onRun, wholeNumber } from '../command.ts'
import type { Context } from '../context.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { type LiveFigures, readLiveFigures } from '../plan/live-figures.ts'
import { optionsTable, verdict } from '../plan/plan-text.ts'
import { fields } from '../text.ts'

interface PlanOptions {
  model?: string
  params?: number
  quantization: string
  context?: number
  concurrency?: number
  requestsPerDay: number
  inputTokens: number
  outputTokens: number
  peak: number
  ttftMs?: number
  interTokenMs?: number
  budget?: number
  gpu?: string[]
  tensorParallel?: number
  catalogue?: string
  live?: boolean
  pool?: string
}

/** `forebay plan` */
export function addPlanCommand(program: Command, cli: Cli): void {
  const command = examples(
    program
      .command('plan')
      .description('which GPUs, how many and what a month of them costs, for a model and its load'),
    'forebay plan --model llama-3.1-8b --requests-per-day 1000000 --ttft-ms 500',
    'forebay plan --params 70 --quantization int4 --concurrency 64 --budget 8000',
    'forebay plan --model llama-3.1-8b --live --gpu H100 --requests-per-day 5000000',
  )
    .option('--model <name>', 'a model of the catalogue')
    .option('--params <n>', 'billions of parameters, for a model that is not in it', positive)
    .option('--quantization <name>', 'of the weights: none, fp8, int8, int4, awq, gptq', 'none')
    .option('--context <n>', 'longest prompt and output of a request, in tokens', wholeNumber(1))
    .option('--concurrency <n>', 'requests in flight at once at the peak', wholeNumber(1))
    .option('--requests-per-day <n>', 'requests', wholeNumber(1), 10_000)
    .option('--input-tokens <n>', 'prompt of a request, the mean', wholeNumber(1), 500)
    .option('--output-tokens <n>', 'output of a request, the mean', wholeNumber(1), 200)
    .option('--peak <n>', 'the busiest hour over the mean', positive, 2)
    .option('--ttft-ms <n>', 'objective for the time to the first token', wholeNumber(1))
    .option('--inter-token-ms <n>', 'objective for the time between tokens', wholeNumber(1))
    .option('--budget <n>', "what a month may cost, in the catalogue's currency", positive)
    .option('--gpu <names>', 'only these, comma-separated', commaList)
    .option('--tensor-parallel <n>', 'GPUs of one replica; 1, 2, 4 and 8 are tried when not given', wholeNumber(1))
    .option('--catalogue <file>', 'your own GPUs, prices and models (YAML or JSON), before the built-in ones')
    .option('--live', 'take what a pool of a live system gets through in place of the estimate; needs an admin key')
    .option('--pool <name>', 'the pool for --live')
  onRun<[], PlanOptions>(cli, command, async (context, _args, options) => {
    const { out } = context
    const live = options.live ? await measure(context, options) : undefined
    const { catalogue, guide, model, plan } = await work(options, context.cwd, live).catch((err: unknown) => {
      throw err instanceof ForebayError ? usageFailure(err.message) : err
    })
    const { currency, date, sources } = catalogue
    const memory = plan.options[0]?.memory
    const prices = { currency, date, sources }
    out.data({ model, live: live ?? null, guide, ...plan, catalogue: prices }, () =>
      [
        fields([
          ['model', `${model.name}, ${model.billionParams} billion parameters, ${options.quantization}`],
          ['weights', memory && `${memory.weightsGb.toFixed(1)} GB`],
          ['KV cache of a request', memory && `${memory.kvPerRequestGb.toFixed(2)} GB at its longest`],
          ['at the peak', `${plan.peakRequestsPerSecond.toFixed(2)} requests/s`],
          ['measured', live && liveText(live)],
          ['prices', `${currency}, ${options.catalogue ?? 'built in'}, ${date}`],
        ]),
        '',
        optionsTable(plan, currency),
        '',
        'The rule of thumb beside it (KV cache 20 % of the weights, activations 30 %; throughput of a 7B model):',
        fields([
          ['memory', `${guide.memory.totalGb} GiB, of a GPU with ${guide.memory.recommendedGpuGb} GiB`],
          [
            'fits on',
            guide.gpus.recommendations.map(({ gpu, gpus }) => `${gpus} x ${gpu}`).join(', ') || 'none of its GPUs',
          ],
          ['a month', guide.monthly.map(({ gpu, monthlyCost }) => `${gpu} ${monthlyCost}`).join(', ') || null],
          ['with storage and network', guide.whole && `${guide.whole.totalMonthly} for what is chosen above`],
          ['advice for the budget', guide.advice?.join('; ')],
        ]),
      ].join('\n'),
    )
    if (plan.chosen) out.note(verdict(plan, currency))
    else out.warn(verdict(plan, currency))
    return plan.chosen ? exitCodes.ok : exitCodes.other
  })
}

function measure(context: Context, { gpu = [], model, pool }: PlanOptions): Promise<LiveFigures> {
  // What was measured says nothing of another GPU.
  if (gpu.length !== 1) throw usageFailure('Name the GPU of the live system, one, with --gpu.')
  return readLiveFigures(context, { pool, model })
}

async function work(options: PlanOptions, cwd: string, live: LiveFigures | undefined) {
  const catalogue = await loadCatalogue(options.catalogue === undefined ? undefined : resolve(cwd, options.catalogue))
  const precision = parsePrecision(options.quantization)
  const model = modelOf(options, catalogue)
  const { budget, inputTokens, outputTokens, requestsPerDay } = options
  const named = options.gpu ? options.gpu.map((name) => findGpu(catalogue, name)) : catalogue.gpus
  const gpus = named.map((gpu) => (live?.costPerGpuHour ? { ...gpu, costPerHour: live.costPerGpuHour } : gpu))
  const ownParallel = live?.gpus ?? options.tensorParallel
  const plan = planCapacity({
    ...{ model, precision, gpus, requestsPerDay, inputTokens, outputTokens, peakFactor: options.peak },
    tensorParallel: ownParallel ? [ownParallel] : live ? [1] : [1, 2, 4, 8],
    contextTokens: options.context ?? inputTokens + outputTokens,
    concurrency: options.concurrency,
    ttftMs: options.ttftMs,
    interTokenMs: options.interTokenMs,
    budgetPerMonth: budget,
    measured: live && { tokensPerSecond: live.tokensPerSecond, ttftMs: live.firstByteP95Ms ?? undefined },
  })
  const { billionParams } = model
  const load = { requestsPerDay, inputTokens, outputTokens }
  const { chosen } = plan
  const price = gpus.find(({ name }) => name === chosen?.gpu)?.costPerHour ?? null
  const guide = {
    memory: calculateMemory(billionParams * 1e9, precision),
    gpus: estimateGpus({ billionParams, precision, tensorParallel: options.tensorParallel ?? 1 }),
    monthly: gpus.flatMap(({ costPerHour, name, sevenBillionRequestsPerSecond: requestsPerSecond }) =>
      costPerHour === null || requestsPerSecond === undefined
        ? []
        : [{ gpu: name, ...calculateMonthlyLlmCost({ ...load, costPerHour, requestsPerSecond }) }],
    ),
    whole: chosen?.gpus && price !== null ? calculateMonthlyCost({ costPerHour: price, gpus: chosen.gpus }) : null,
    advice: budget === undefined ? null : recommendStrategy({ budgetPerMonth: budget, requestsPerDay }),
  }
  return { catalogue, guide, model, plan }
}

/** The model named, or one of so many parameters with the shape of the nearest in size. */
function modelOf({ model, params }: PlanOptions, catalogue: Catalogue): ModelShape {
  if (model !== undefined) return findModel(catalogue, model)
  if (params === undefined) throw usageFailure('Name the model with --model, or its size with --params.')
  if (params > 2_000)
    throw usageFailure(`--params counts billions: ${params} would be ${params * 1e9 * bytesPerParam.fp16} bytes.`)
  const distance = ({ billionParams }: ModelShape) => Math.abs(Math.log(billionParams / params))
  const [nearest] = [...catalogue.models].sort((a, b) => distance(a) - distance(b))
  if (!nearest) throw usageFailure('The catalogue has no model.')
  return { ...nearest, name: `${params}B, shaped as ${nearest.name}`, billionParams: params }
}

function liveText({ firstByteP95Ms, pool, tokensPerSecond, workers }: LiveFigures): string {
  const first = firstByteP95Ms === null ? 'first byte not measured' : `first byte p95 ${firstByteP95Ms.toFixed(0)} ms`
  return `${pool}: ${tokensPerSecond.toFixed(0)} tokens/s a worker (${workers}), ${first}`
}

function positive(value: string): number {
  const number = Number(value)
  if (!(number > 0) || !Number.isFinite(number)) throw new InvalidArgumentError('It must be a number above 0.')
  return number
}
