/**
 * engine-sim: a simulator that speaks vLLM's HTTP API, for demos, tests and benchmarks without a GPU. Its text is made
 * of plain words by a hash of the prompt; its timing comes from a step-level model of vLLM's scheduler. It says so in
 * every response (`x-engine-sim: 1`, `system_fingerprint: "engine-sim"`). See `--help` for use.
 */

import type { SchedulingPolicy } from '@forebay/engine-model'
import { type ProfileName, profiles } from '@forebay/engine-model'
import { logLevels, makeLogger, runProcess } from '@forebay/kernel'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type FailureKind, type FailureRates, failureKinds } from './server/failures.ts'
import { startEngineSim } from './start-engine-sim.ts'

const number = (text: string): number => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('Not a number >= 0.')
  return value
}
const positive = (text: string): number => {
  const value = number(text)
  if (!Number.isInteger(value) || value === 0) throw new InvalidArgumentError('Not a whole number above 0.')
  return value
}
const collect = (text: string, before: string[] = []): string[] => [...before, text]
const collectRate = (text: string, before: FailureRates = {}): FailureRates => {
  const [kind = '', rate = ''] = text.split('=')
  if (!failureKinds.includes(kind as FailureKind) || !(number(rate) <= 1)) {
    throw new InvalidArgumentError(`Give kind=rate, rate 0 to 1, kind one of ${failureKinds.join(', ')}.`)
  }
  return { ...before, [kind]: number(rate) }
}

interface Flags {
  host: string
  port: number
  model?: string[]
  profile?: ProfileName
  speed: number
  fixedMs?: number
  maxNumSeqs?: number
  maxNumBatchedTokens?: number
  numGpuBlocks?: number
  maxModelLen?: number
  schedulingPolicy: SchedulingPolicy
  maxNumQueuedReqs?: number
  apiKey?: string
  seed: number
  promptTokensDetails: boolean
  fail?: FailureRates
  record?: boolean
  memoryGb?: number
  asleepGb?: number
  wakeMs?: number
}

const program = new Command('engine-sim')
  .description('A simulator of the vLLM server. It generates no real answers and needs no GPU.')
  .option('--host <host>', 'address to listen on', '127.0.0.1')
  .option('--port <port>', 'port to listen on; 0 picks one', number, 8000)
  .option('--model <name>', 'model name to serve; repeatable (default: forebay-sim)', collect)
  .addOption(new Option('--profile <name>', 'timing (default: laptop)').choices(Object.keys(profiles)))
  .option('--speed <factor>', 'simulated seconds per real second', number, 1)
  .option('--fixed-ms <ms>', 'answer each request after this long (profile fixed)', number)
  .option('--max-num-seqs <n>', 'seats: sequences running at once', positive)
  .option('--max-num-batched-tokens <n>', 'token budget of a step', positive)
  .option('--num-gpu-blocks <n>', 'KV memory, in blocks of 16 tokens', positive)
  .option('--max-model-len <n>', 'context limit in tokens', positive)
  .addOption(new Option('--scheduling-policy <p>', 'queue order').choices(['fcfs', 'priority']).default('fcfs'))
  .option('--max-num-queued-reqs <n>', '503 past this many requests in the engine', positive)
  .option('--api-key <key>', 'require this key under /v1')
  .option('--seed <n>', 'seeds texts and failures', number, 0)
  .option('--no-prompt-tokens-details', 'leave cached_tokens out of usage, as vLLM does by default')
  .option('--fail <kind=rate>', 'share of requests to fail so; repeatable', collectRate)
  .option('--memory-gb <gb>', 'memory it says to take awake (default 16)', number)
  .option('--asleep-gb <gb>', 'memory it says to take asleep (default 1)', number)
  .option('--wake-ms <ms>', 'how long waking takes, simulated (default 1000)', number)
  .option('--record', 'keep a line per X-Request-Id in GET /sim/log')
  .addHelpText(
    'after',
    `
Examples:
  engine-sim --port 8000 --profile laptop
  engine-sim --profile h100-llama-3.1-8b --speed 4 --scheduling-policy priority
  engine-sim --fixed-ms 40 --fail 500=0.02 --fail reset=0.01 --record
  curl -X POST localhost:8000/sim/failures -d '{"503": 0.5, "retryAfterS": 2}'
  curl -X POST localhost:8000/sim/failures -d '{"now": "wedge"}'    (crash, wedge, unwedge)
  curl -X POST localhost:8000/sleep; curl -X POST localhost:8000/wake_up; curl localhost:8000/sim/residency

Failures: ${failureKinds.join(', ')}.
A prompt can ask for one: [[sim:500]] always, [[sim:500*2]] the first two times that prompt is seen;
[[sim:tokens=100]] asks for an answer of exactly 100 tokens.`,
  )
  .parse()

const flags = program.opts<Flags>()
// Anything that pino does not know would end the start; the settings' own check names it better elsewhere.
const level = logLevels.find((name) => name === process.env['FOREBAY_LOG_LEVEL']) ?? 'info'
const logger = makeLogger({ process: 'engine-sim', level })

await runProcess({
  logger,
  start: () => {
    const { model, fail, memoryGb: awakeGb, asleepGb, wakeMs, ...rest } = flags
    const residency = { awakeGb, asleepGb, wakeMs }
    return startEngineSim({
      ...given(rest),
      models: model,
      failures: fail,
      residency,
      logger,
      onCrash: () => process.exit(1),
    })
  },
})

/** Without the flags that were not given, so that defaults apply. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}
