import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { ForebayError, silentLogger, systemClock } from '@forebay/kernel'
import { migrate } from '@forebay/store'

/** One measurement, of a process that plans one file and stores its chunks. */
export interface IngestPoint {
  lines: number
  fileMb: number
  seconds: number
  linesPerSecond: number
  /** Peak memory of the process, less what it had before it began. */
  extraRssMb: number
  /** Longest time the process could not do anything else. */
  longestPauseMs: number
  chunks: number
}

/** What the measuring process is told. */
export interface IngestTask {
  root: string
  key: string
  databaseUrl: string
  lines: number
}

/**
 * Measures validating and planning batch files of several sizes: the scheduler's own planner over a file in a folder,
 * the plan written there and the chunks inserted into a real Postgres, each size in a process of its own.
 */
export async function run(args: readonly string[]): Promise<{ points: IngestPoint[] }> {
  const { values } = parseArgs({ args: [...args], options: { lines: { type: 'string' } } })
  const sizes = (values.lines ?? '10000,100000,1000000').split(',').map(Number)
  if (sizes.some((size) => !Number.isInteger(size) || size < 1)) {
    throw new ForebayError('invalid_value', `--lines ${values.lines}: give whole numbers, such as 10000,100000.`)
  }
  const root = await mkdtemp(join(tmpdir(), 'forebay-ingest-'))
  const postgres = await startEmbeddedPostgres({ dataDir: join(root, 'pg'), logger: silentLogger, clock: systemClock })
  try {
    await migrate({ url: postgres.url })
    const points: IngestPoint[] = []
    for (const lines of sizes) points.push(await measure({ root, databaseUrl: postgres.url, lines }))
    return { points }
  } finally {
    await postgres.stop()
    await rm(root, { recursive: true, force: true })
  }
}

async function measure(options: { root: string; databaseUrl: string; lines: number }): Promise<IngestPoint> {
  const key = `inputs/${options.lines}.jsonl`
  const path = join(options.root, key)
  await mkdir(join(options.root, 'inputs'), { recursive: true })
  await pipeline(batchFile(options.lines), createWriteStream(path))
  const task: IngestTask = { ...options, key }
  const child = fork(fileURLToPath(new URL('./ingest-process.ts', import.meta.url)), [JSON.stringify(task)], {
    execArgv: ['--import', 'tsx'],
  })
  const exited = once(child, 'exit')
  const [answer] = await Promise.race([
    once(child, 'message'),
    exited.then(([code]) => Promise.reject(new Error(`the measuring process ended with code ${code}`))),
  ])
  await exited
  await rm(path)
  return answer as IngestPoint
}

// Words of a seeded generator: the same file for the same number of lines, 300 to 1,000 bytes a line.
async function* batchFile(lines: number): AsyncGenerator<string> {
  const words =
    'river turbine batch queue water steady power engine forebay sluice model token answer summary clause'.split(' ')
  const system =
    'You are a careful assistant that reads a paragraph and answers in one short sentence of plain English.'
  let state = 1
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  let text = ''
  for (let i = 1; i <= lines; i++) {
    const paragraph = Array.from({ length: 12 + next(90) }, () => words[next(words.length)]).join(' ')
    const messages = [
      { role: 'system', content: system },
      { role: 'user', content: `Paragraph ${i}: ${paragraph}` },
    ]
    const body = { model: 'bench-model', max_tokens: 64 + next(192), temperature: 0, messages }
    text += `${JSON.stringify({ custom_id: `request-${i}`, method: 'POST', url: '/v1/chat/completions', body })}\n`
    if (text.length < 1 << 18) continue
    yield text
    text = ''
  }
  yield text
}
