import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { makeBatcher } from '@forebay/batcher'
import { profiles } from '@forebay/engine-model'
import {
  batchLines,
  burstyLive,
  type LaneReport,
  makeConstantCap,
  readAzureTrace,
  type SimRequest,
  simulate,
} from '@forebay/simulation'
import { type Command, Option } from 'commander'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { exitCodes, usageFailure } from '../failure.ts'
import { count, fields, table } from '../text.ts'

interface SimulateOptions {
  profile: 'h100-llama-3.1-8b' | 'laptop'
  trace?: string
  liveRate: number
  seconds: number
  batchLines: number
  ttftP99Ms?: number
  interTokenP99Ms?: number
  cap?: number
  seed: number
}

/** `forebay simulate` */
export function addSimulateCommand(program: Command, cli: Cli): void {
  const command = examples(
    program.command('simulate').description('play a workload against a simulated engine: what would it get, how fast?'),
    'forebay simulate --batch-lines 5000 --live-rate 20 --ttft-p99-ms 150',
    'forebay simulate --trace AzureLLMInferenceTrace_conv.csv --batch-lines 20000',
    'forebay simulate --batch-lines 5000 --live-rate 20 --cap 64',
  )
    .addOption(
      new Option('--profile <name>', 'the engine')
        .choices(['h100-llama-3.1-8b', 'laptop'])
        .default('h100-llama-3.1-8b'),
    )
    .option('--trace <file>', 'live requests from a CSV with TIMESTAMP, ContextTokens, GeneratedTokens')
    .option('--live-rate <n>', 'live requests a second in bursts of 6 s, with pauses of 9 s', wholeNumber(0), 0)
    .option('--seconds <n>', 'how long live traffic goes on, when there is no trace', wholeNumber(1), 300)
    .option('--batch-lines <n>', 'lines of a batch that begins with it', wholeNumber(0), 0)
    .option('--ttft-p99-ms <n>', 'objective for the time to the first token', wholeNumber(1))
    .option('--inter-token-p99-ms <n>', 'objective for the time between tokens', wholeNumber(1))
    .option('--cap <n>', 'a constant in-flight cap in place of the batcher', wholeNumber(1))
    .option('--seed <n>', 'another workload of the same kind', wholeNumber(0), 1)
  onRun<[], SimulateOptions>(cli, command, async ({ cwd, out }, _args, options) => {
    const profile = profiles[options.profile]
    const all = [...batchLines({ lines: options.batchLines, seed: options.seed }), ...(await liveOf(options, cwd))]
    const requests = all.filter((r) => r.promptTokens + r.outputTokens <= profile.limits.maxModelLen)
    if (requests.length === 0) throw usageFailure('Nothing to play: give --trace, --live-rate or --batch-lines.')
    const { interTokenP99Ms, ttftP99Ms } = options
    const gate =
      options.cap === undefined
        ? makeBatcher({ seats: { start: 32, max: 2_048 }, objective: { ttftP99Ms, interTokenP99Ms } })
        : makeConstantCap({ cap: options.cap })
    const report = { ...simulate({ profile, gate, requests }), tooLong: all.length - requests.length }
    if (report.tooLong > 0) out.note(`${count(report.tooLong, 'request')} longer than the engine's context left out.`)
    out.data(report, () =>
      [
        table(
          ['LANE', 'REQUESTS', 'REQUESTS/S', 'TOKENS/S', 'TTFT P50', 'P90', 'P99', 'INTER-TOKEN P50', 'P99'],
          (['realtime', 'batch'] as const)
            .filter((lane) => report[lane].requests > 0)
            .map((lane) => row(lane, report[lane])),
        ),
        '',
        fields([
          ['simulated time', `${(report.durationMs / 1000).toFixed(1)} s`],
          ['GPU hours', report.gpuHours.toFixed(4)],
          ['prefix cache hits', `${(report.prefixHitRate * 100).toFixed(1)} %`],
          ['put back for live requests', report.preempted],
          ['preempted by the engine', report.enginePreemptions],
        ]),
      ].join('\n'),
    )
    return exitCodes.ok
  })
}

async function liveOf(options: SimulateOptions, cwd: string): Promise<SimRequest[]> {
  const { liveRate, seconds, seed, trace } = options
  if (trace !== undefined) {
    const csv = await readFile(resolve(cwd, trace), 'utf8').catch((err: NodeJS.ErrnoException) => {
      throw usageFailure(`Cannot read ${trace} (${err.code ?? err.message}).`)
    })
    return readAzureTrace(csv)
  }
  if (liveRate === 0) return []
  const bursts = { onPerSecond: liveRate, offPerSecond: liveRate / 24, onMs: 6_000, offMs: 9_000 }
  return burstyLive({ durationMs: seconds * 1000, seed: seed + 1000, bursts })
}

function row(lane: string, { interTokenMs, requests, requestsPerSecond, tokensPerSecond, ttftMs }: LaneReport) {
  const ms = (value: number) => (lane === 'realtime' ? `${value.toFixed(1)} ms` : null)
  return [
    ...[lane, requests, requestsPerSecond.toFixed(2), Math.round(tokensPerSecond)],
    ...[ms(ttftMs.p50), ms(ttftMs.p90), ms(ttftMs.p99), ms(interTokenMs.p50), ms(interTokenMs.p99)],
  ]
}
