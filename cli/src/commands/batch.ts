import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { isTerminal } from '@forebay/contracts'
import { type Command, Option } from 'commander'
import type { Batch } from '../api-objects.ts'
import { describeBatch, describeErrors, nextSteps } from '../batch-text.ts'
import { type CheckOptions, readCheck } from '../check-options.ts'
import { type Cli, examples, keyValue, onRun, wholeNumber } from '../command.ts'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes, Failure } from '../failure.ts'
import { fileBytes } from '../multipart-upload.ts'
import { submitBatch } from '../submit-batch.ts'
import { size, table, time } from '../text.ts'
import { waitForBatch } from '../wait-for-batch.ts'

/** `forebay batch …` */
export function addBatchCommands(program: Command, cli: Cli): void {
  const batch = examples(
    program.command('batch').description('submit batches, follow them and get their results'),
    'forebay batch submit requests.jsonl --wait',
    'forebay batch watch batch_123',
    'forebay batch results batch_123 -o results.jsonl',
  )

  const submit = examples(
    batch.command('submit').argument('<file>', 'JSONL file of requests').description('upload a file and run it'),
    'forebay batch submit requests.jsonl',
    'forebay batch submit requests.jsonl --window 2h --metadata team=search --wait',
    'forebay batch submit requests.jsonl --check-schema person.schema.json --check-retries 3',
  )
    .option('--endpoint <path>', "endpoint of every line; the first line's url when not given")
    .option('--check-schema <file>', 'every answer must be JSON of the JSON Schema in this file')
    .option('--check-regex <regex>', 'every answer must hold what this regular expression (RE2) finds')
    .option('--check-retries <n>', 'how often a line whose answer does not fit is run again', wholeNumber(0))
  addSubmitOptions(submit)
  onRun<[string], SubmitOptions & CheckOptions>(cli, submit, async (context, [file], options) => {
    const path = resolve(context.cwd, file)
    await fileBytes(path)
    const endpoint = options.endpoint ?? (await endpointOf(path)) ?? '/v1/chat/completions'
    const check = await readCheck(context, options)
    return submitBatch(context, { ...submitSettings(options), ...(check ? { check } : {}), path, endpoint })
  })

  const list = batch
    .command('list')
    .description('the newest batches')
    .option('--limit <n>', 'how many', wholeNumber(1), 20)
  onRun<[], { limit: number }>(cli, list, async ({ api, out }, _args, { limit }) => {
    const batches = await api().list<Batch>('/v1/batches', { limit })
    out.data(batches, () =>
      table(
        ['ID', 'STATUS', 'DONE', 'FAILED', 'TOTAL', 'CREATED', 'ENDPOINT'],
        batches.map(({ id, status, request_counts: counts, created_at, endpoint }) => [
          ...[id, status, counts.completed + counts.failed, counts.failed, counts.total],
          ...[time(created_at), endpoint],
        ]),
      ),
    )
    return exitCodes.ok
  })

  const get = batch.command('get').argument('<id>').description('one batch; the faults, if its validation failed')
  onRun<[string]>(cli, get, async (context, [id]) => {
    const found = await getBatch(context, id)
    context.out.data(found, () => describeBatch(found))
    for (const line of [...describeErrors(found), ...nextSteps(found)]) context.out.note(line)
    return exitCodes.ok
  })

  const watch = batch
    .command('watch')
    .argument('<id>')
    .description('follow a batch to its end; the exit code says how it ended. Ctrl-C detaches (130), the batch goes on')
  onRun<[string]>(cli, watch, async (context, [id]) =>
    waitForBatch(context, await getBatch(context, id), { show: true }),
  )

  const cancel = batch.command('cancel').argument('<id>').description('cancel a batch; what is done stays readable')
  onRun<[string]>(cli, cancel, async ({ api, out }, [id]) => {
    const found = await api().call<Batch>('POST', `/v1/batches/${encodeURIComponent(id)}/cancel`)
    out.data(found, () => describeBatch(found))
    out.note(isTerminal(found.status) ? `${id} is ${found.status}.` : `${id} is being cancelled.`)
    for (const line of nextSteps(found)) out.note(line)
    return exitCodes.ok
  })

  const files = { results: 'output_file_id', errors: 'error_file_id' } as const
  for (const [name, what] of [
    ['results', 'the lines that succeeded'],
    ['errors', 'the lines that failed'],
  ] as const) {
    const command = examples(
      batch.command(name).argument('<id>').description(`${what}, as JSONL (with --json too) on stdout or in a file`),
      `forebay batch ${name} batch_123 -o ${name}.jsonl`,
      `forebay batch ${name} batch_123 | jq -r .custom_id`,
    ).option('-o, --output <file>', 'write to this file')
    onRun<[string], { output?: string }>(cli, command, async (context, [id], { output }) => {
      const found = await getBatch(context, id)
      const fileId = found[files[name]]
      if (fileId) return saveContent(context, fileId, output)
      if (!isTerminal(found.status)) {
        throw new Failure(exitCodes.other, `${id} is ${found.status}. Wait for it: forebay batch watch ${id}`)
      }
      // Whoever asked for a file gets one, so that what reads it next works on.
      if (output !== undefined) await context.out.bytes((async function* () {})(), resolve(context.cwd, output))
      context.out.note(`${id} is ${found.status} and has no ${name}.`)
      for (const line of describeErrors(found)) context.out.note(line)
      return exitCodes.ok
    })
  }
}

/** Options of every command that submits a batch. */
export interface SubmitOptions {
  endpoint?: string
  window: string
  metadata?: Record<string, string>
  wait?: boolean
}

/** Adds the options that submitting takes. */
export function addSubmitOptions(command: Command): void {
  command
    .addOption(new Option('--window <time>', 'time it may take, as 24h, 90m or 7d').default('24h'))
    .option('--metadata <key=value>', 'a note kept with the batch; may be given again', keyValue)
    .option('--wait', 'follow it to its end; Ctrl-C detaches and the batch goes on')
}

/** The options as submitBatch takes them. */
export function submitSettings(options: SubmitOptions) {
  return { window: options.window, metadata: options.metadata ?? {}, wait: options.wait === true }
}

/** Streams a file of the API to stdout or to a file on disk. */
export async function saveContent(context: Context, fileId: string, output: string | undefined): Promise<ExitCode> {
  const path = output === undefined ? undefined : resolve(context.cwd, output)
  const bytes = await context.out.bytes(await context.api().content(fileId), path)
  if (output !== undefined) context.out.note(`Wrote ${size(bytes)} to ${output}.`)
  return exitCodes.ok
}

function getBatch({ api }: Context, id: string): Promise<Batch> {
  return api().call<Batch>('GET', `/v1/batches/${encodeURIComponent(id)}`)
}

async function endpointOf(path: string): Promise<string | undefined> {
  const input = createReadStream(path, { end: 2 ** 20 })
  try {
    for await (const line of createInterface({ input })) {
      const url: unknown = (JSON.parse(line) as { url?: unknown } | null)?.url
      return typeof url === 'string' ? url : undefined
    }
  } catch {
    // What is wrong with the line, validation says better.
  } finally {
    input.destroy()
  }
  return undefined
}
