import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Logger, systemClock } from '@forebay/kernel'
import { type BatchFiles, check } from './checker.mjs'
import { type BatchView, FaultClient } from './client.ts'
import { makeRandom } from './random.ts'
import { startClusterTarget, startStandaloneTarget } from './targets.ts'

export interface FaultReport {
  kills: number
  batches: number
  lines: number
  lost: number
  doubled: number
  overcharged: number
  problems: string[]
}

export type Form = 'standalone' | 'cluster'

const linesPerBatch = 250
const batchesAtOnce = 2
const settleMs = 180_000

/**
 * Kills processes at random moments while batches run, `kills` times in all, then lets every batch end and compares
 * what went in with what came out and what was charged, by a checker that shares no code with the product.
 */
export async function runFaults(options: {
  form: Form
  kills: number
  seed: number
  logger: Logger
  say: (text: string) => void
}): Promise<FaultReport> {
  const { form, kills, seed, logger, say } = options
  const random = makeRandom(seed)
  const dataDir = await mkdtemp(join(tmpdir(), 'forebay-faults-'))
  const start = form === 'standalone' ? startStandaloneTarget : startClusterTarget
  const target = await start({ dataDir, logger })
  try {
    const client = new FaultClient(target)
    let killed = 0
    const killing = (async () => {
      while (killed < kills) {
        await systemClock.sleep(form === 'standalone' ? 2000 + random() * 6000 : 200 + random() * 1200)
        const name = target.victims[Math.floor(random() * target.victims.length)] ?? ''
        if (await target.kill(name)) say(`  kill ${++killed}/${kills}: ${name}\n`)
      }
    })()
    const files: BatchFiles[] = []
    const feed = async (lane: number) => {
      for (let i = 0; killed < kills || i === 0; i++) files.push(await runBatch(client, `${seed}-${lane}-${i}`, say))
    }
    await Promise.all([killing, ...Array.from({ length: batchesAtOnce }, (_, lane) => feed(lane))])
    const report = await check({ databaseUrl: await target.databaseUrl(), batches: files })
    return { kills: killed, batches: files.length, ...report }
  } finally {
    await target.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function runBatch(client: FaultClient, name: string, say: (text: string) => void): Promise<BatchFiles> {
  const input = Array.from({ length: linesPerBatch }, (_, i) => requestLine(name, i)).join('')
  const fileId = await client.upload(`${name}.jsonl`, input)
  let batch: BatchView = await client.createBatch(fileId, name)
  const endMs = systemClock.now() + settleMs
  while (!['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
    if (systemClock.now() > endMs)
      throw new Error(
        `batch ${batch.id} is still ${batch.status} after ${settleMs / 1000} s: ${JSON.stringify(batch.request_counts)}`,
      )
    await systemClock.sleep(250)
    batch = await client.batch(batch.id)
  }
  say(`  ${batch.id} ${batch.status}: ${JSON.stringify(batch.request_counts)}\n`)
  return {
    id: batch.id,
    status: batch.status,
    counts: batch.request_counts,
    input,
    output: batch.output_file_id ? await client.content(batch.output_file_id) : '',
    errors: batch.error_file_id ? await client.content(batch.error_file_id) : '',
  }
}

function requestLine(batch: string, i: number): string {
  const body = {
    model: 'forebay-sim',
    max_tokens: 8 + (i % 24),
    messages: [{ role: 'user', content: `Item ${i} of ${batch}: name a river.` }],
  }
  return `${JSON.stringify({ custom_id: `${batch}/${i}`, method: 'POST', url: '/v1/chat/completions', body })}\n`
}
