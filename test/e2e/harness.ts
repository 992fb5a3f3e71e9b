import { loadConfig } from '@forebay/config'
import { type Logger, silentLogger, systemClock } from '@forebay/kernel'
import { type Standalone, startStandalone } from '@forebay/standalone'
import { type TestDatabase, tempDir, testDatabase } from '@forebay/test-support'
import OpenAI, { toFile } from 'openai'
import pg from 'pg'

export interface Harness {
  standalone: Standalone
  openai: OpenAI
  /** Plain SQL against the same database. */
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
}

/** A whole Forebay in this process, on a database of its own, with engine-sim as a child. */
export async function startHarness(
  options: { simArgs?: readonly string[]; env?: Record<string, string>; logger?: Logger } = {},
): Promise<Harness> {
  const database: TestDatabase = await testDatabase({ migrated: false })
  const { config } = loadConfig({
    PORT: '0',
    FOREBAY_DATA_DIR: tempDir(),
    DATABASE_URL: database.url,
    FOREBAY_WEBHOOK_ALLOW: '127.0.0.1/32',
    ...options.env,
  })
  const standalone = await startStandalone({
    config,
    clock: systemClock,
    logger: options.logger ?? silentLogger,
    env: { PATH: process.env['PATH'], FOREBAY_LOG_LEVEL: 'fatal' },
    simArgs: options.simArgs ?? ['--profile', 'instant'],
  })
  const pool = new pg.Pool({ connectionString: database.url, max: 2 })
  const openai = new OpenAI({ baseURL: `${standalone.url}/v1`, apiKey: standalone.apiKey, maxRetries: 0 })
  return {
    standalone,
    openai,
    sql: async (text, values) => (await pool.query(text, values)).rows,
    stop: async () => {
      await standalone.stop()
      await pool.end()
      await database.drop()
    },
  }
}

/** The id of the model served, once the worker has told of it. */
export async function modelOf(openai: OpenAI): Promise<string> {
  for (let i = 0; i < 200; i++) {
    const [model] = (await openai.models.list()).data
    if (model) return model.id
    await systemClock.sleep(50)
  }
  throw new Error('no model was announced within 10 s')
}

/** One line of a batch file for chat. */
export function chatLine(model: string, customId: string, content: string, more: Record<string, unknown> = {}): string {
  const body = { model, max_tokens: 16, messages: [{ role: 'user', content }], ...more }
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body })
}

/** Uploads lines as a batch file. */
export async function uploadLines(openai: OpenAI, lines: readonly string[]): Promise<string> {
  const file = await openai.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(`${lines.join('\n')}\n`), 'input.jsonl'),
  })
  return file.id
}

/** Waits for a batch to end, or for another condition on it. */
export async function untilBatch(
  openai: OpenAI,
  id: string,
  done = (batch: OpenAI.Batches.Batch) => ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status),
): Promise<OpenAI.Batches.Batch> {
  for (let i = 0; i < 600; i++) {
    const batch = await openai.batches.retrieve(id)
    if (done(batch)) return batch
    await systemClock.sleep(100)
  }
  throw new Error(`batch ${id} did not get there within a minute: ${JSON.stringify(await openai.batches.retrieve(id))}`)
}

/** A result file's lines, parsed. */
export async function readLines(openai: OpenAI, fileId: string | null | undefined): Promise<ResultLine[]> {
  if (!fileId) return []
  const text = await (await openai.files.content(fileId)).text()
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

export interface ResultLine {
  id: string
  custom_id: string
  response: {
    status_code: number
    request_id: string
    body: {
      usage?: { total_tokens: number }
      choices?: { message?: { content: string } }[]
      error?: { message: string }
    }
  } | null
  error: { code: string; message: string } | null
}
