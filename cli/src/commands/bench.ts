import { guessModel, loadCatalogue } from '@forebay/capacity'
import { type Command, InvalidArgumentError } from 'commander'
import { benchEngine } from '../bench/bench-engine.ts'
import { type EngineAddress, readPage } from '../bench/engine-call.ts'
import { memoryInMetrics, memoryInOllama } from '../bench/memory-used.ts'
import { type Cli, commaList, examples, onRun, wholeNumber } from '../command.ts'
import type { GlobalOptions } from '../context.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { table } from '../text.ts'

interface BenchOptions {
  model: string
  quantization: string
  concurrency: number[]
  requests?: number
  promptTokens: number
  maxTokens: number
  gpuMetrics?: string
}

/** `forebay bench engine` */
export function addBenchCommand(program: Command, cli: Cli): void {
  const bench = program.command('bench').description('measure an engine of your own')
  const command = examples(
    bench
      .command('engine')
      .description('memory, latency and requests a second of the engine at --url, at rising concurrency; no gateway'),
    'forebay bench engine --url http://127.0.0.1:8000 --model llama-3.1-8b',
    'forebay bench engine --url http://gpu1:8000 --model llama-3.1-8b --concurrency 1,16,64,256 --max-tokens 200',
    'forebay bench engine --url http://gpu1:8000 --model m --gpu-metrics http://gpu1:9400/metrics --json',
  )
    .requiredOption('--model <name>', 'the model as the engine names it')
    .option('--quantization <name>', 'what its weights are quantized to, for the table', 'none')
    .option('--concurrency <list>', 'requests in flight at once, a run for each', concurrencies, [1, 4, 16, 64])
    .option('--requests <n>', 'requests of a run; 8 for each in flight and 32 at least when not given', wholeNumber(1))
    .option('--prompt-tokens <n>', 'about so many tokens of prompt', wholeNumber(1), 128)
    .option('--max-tokens <n>', 'at most so many tokens of output', wholeNumber(1), 64)
    .option('--gpu-metrics <url>', "where NVIDIA's DCGM exporter is, for the memory in use")
  onRun<[], BenchOptions>(cli, command, async ({ clock, interrupted, out }, _args, options) => {
    const { apiKey, url } = command.optsWithGlobals<GlobalOptions>()
    if (url === undefined || !URL.canParse(url)) throw usageFailure('Give the address of the engine with --url.')
    const engine = { url: url.replace(/\/+$/, '').replace(/\/v1$/, ''), apiKey }
    const { model, quantization } = options
    const runs = await benchEngine({
      ...{ engine, load: options, clock, signal: interrupted },
      onRun: ({ concurrency, requestsPerSecond }) =>
        out.note(`${concurrency} in flight: ${requestsPerSecond.toFixed(2)} requests/s`),
    })
    const models = await readPage(engine, `${engine.url}/v1/models`, interrupted)
    const memoryBytes = await memoryOf(engine, options, interrupted)
    const billionParams = guessModel(await loadCatalogue(), model)?.billionParams ?? null
    const simulated = models?.simulated ?? false
    if (simulated) out.warn('A simulator answered: these are no figures of an engine.')
    const failed = runs.reduce((all, run) => all + run.failed, 0)
    if (failed > 0) out.warn(`${failed} requests failed; they count in no figure.`)
    const report = { url: engine.url, model, quantization, billionParams, memoryBytes, simulated, runs }
    out.data(report, () =>
      table(
        ['MODEL', 'SIZE', 'QUANTIZATION', 'MEMORY', 'IN FLIGHT', 'P50', 'P95', 'REQ/S', 'OUTPUT TOKENS/S', 'FAILED'],
        runs.map((run) => [
          ...[model, billionParams === null ? null : `${billionParams}B`, quantization],
          memoryBytes === null ? 'unknown' : `${(memoryBytes / 1e9).toFixed(1)} GB`,
          ...[run.concurrency, milliseconds(run.p50Ms), milliseconds(run.p95Ms), run.requestsPerSecond.toFixed(2)],
          ...[Math.round(run.outputTokensPerSecond), run.failed],
        ]),
      ),
    )
    return failed > 0 ? exitCodes.other : exitCodes.ok
  })
}

async function memoryOf(engine: EngineAddress, { gpuMetrics, model }: BenchOptions, signal: AbortSignal) {
  const page = await readPage(engine, gpuMetrics ?? `${engine.url}/metrics`, signal)
  const told = page && memoryInMetrics(page.text)
  if (told !== undefined && told !== null) return told
  const ollama = await readPage(engine, `${engine.url}/api/ps`, signal)
  return ollama ? memoryInOllama(ollama.text, model) : null
}

function concurrencies(value: string): number[] {
  const all = commaList(value).map(wholeNumber(1))
  if (all.length === 0) throw new InvalidArgumentError('It must be whole numbers from 1, comma-separated.')
  return all
}

function milliseconds(value: number | null): string | null {
  return value === null ? null : `${value.toFixed(0)} ms`
}
