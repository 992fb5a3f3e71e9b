import { type Clock, ForebayError } from '@forebay/kernel'
import type { Standalone } from '../start-standalone.ts'
import { type Api, type BatchView, makeApi } from './api.ts'
import { compareLines } from './compare-lines.ts'
import { batchLines, collectDocuments } from './documents.ts'
import { type LiveLoad, startLiveLoad } from './live-load.ts'
import { type Bars, makeBars } from './progress.ts'
import type { Summary } from './summary.ts'
import { startWebhookReceiver } from './webhook-receiver.ts'

export interface DemoResult {
  summary: Summary
  files: { name: string; text: string }[]
}

const liveRatePerSecond = 5
const aloneSeconds = 8

/** Live traffic alone, then a bulk job beside it; then everything that came back is compared with what was sent. */
export async function runDemo(options: {
  standalone: Standalone
  clock: Clock
  packages: string
  say: (text: string) => void
  bars: boolean
}): Promise<DemoResult> {
  const { standalone, clock, say } = options
  const { engine, url, apiKey } = standalone
  const api = makeApi({ url, apiKey })
  const model = await firstModel(api, clock)
  const receiver = await startWebhookReceiver({ clock })
  const bars = makeBars({ enabled: options.bars, say })
  const loads: LiveLoad[] = []
  try {
    const endpoint = await api.call<{ id: string; secret: string }>('POST', '/v1/webhooks', {
      url: receiver.url,
      events: ['batch.completed'],
    })
    receiver.expect(endpoint.secret)
    const ratePerSecond = engine.simulated ? liveRatePerSecond : 1
    const load = () => {
      const started = startLiveLoad({ url, apiKey, model, ratePerSecond, clock })
      loads.push(started)
      return started
    }

    say(`Live chat requests alone for ${aloneSeconds} s …\n`)
    const before = load()
    await watch(bars, 'live alone', aloneSeconds * ratePerSecond, () => before.count(), clock, aloneSeconds)
    const alone = await before.end()

    const documents = await collectDocuments({ folder: options.packages, countMax: engine.simulated ? 400 : 24 })
    const input = batchLines({ documents, model, tokensMax: engine.simulated ? 160 : 64 })
    say(`A bulk job of ${documents.length} documents beside them …\n`)
    const during = load()
    const startedMs = performance.now()
    const batch = await runBatch({ api, bars, clock, input, liveCount: () => during.count() })
    const seconds = (performance.now() - startedMs) / 1000
    const beside = await during.end()
    const webhook = await receiver.event('batch.completed', batch.id, 20_000)
    await api.call('DELETE', `/v1/webhooks/${endpoint.id}`)

    const output = batch.output_file_id ? await api.content(batch.output_file_id) : ''
    const errors = batch.error_file_id ? await api.content(batch.error_file_id) : ''
    const usage = await api.call<{ data: { key: string | null; cost_nano: number }[] }>(
      'GET',
      '/v1/usage?group_by=tenant',
    )
    const own = await api.call<{ forebay?: { cost_nano?: number } }>('GET', `/v1/batches/${batch.id}`)
    const summary: Summary = {
      requests: batch.request_counts.total,
      completed: batch.request_counts.completed,
      failed: batch.request_counts.failed,
      ...compareLines({ input, results: [output, errors] }),
      tokens: batch.usage?.total_tokens ?? 0,
      costNano: own.forebay?.cost_nano ?? 0,
      // Without a tenant: the engine's idle time.
      costByTenant: usage.data.flatMap(({ key, cost_nano }) =>
        key === null ? [] : [{ tenant: key, costNano: cost_nano }],
      ),
      webhookVerified: webhook !== undefined,
      live: { alone: { p50Ms: alone.p50Ms, p99Ms: alone.p99Ms }, beside: { p50Ms: beside.p50Ms, p99Ms: beside.p99Ms } },
      seconds: Math.round(seconds * 10) / 10,
      results: [],
      engine: engine.description,
    }
    const files = [
      { name: `${batch.id}_output.jsonl`, text: output },
      { name: `${batch.id}_error.jsonl`, text: errors },
    ]
    return { summary, files: files.filter((file) => file.text !== '') }
  } finally {
    bars.stop()
    for (const load of loads) load.stop()
    await receiver.stop()
  }
}

async function runBatch(options: {
  api: Api
  bars: Bars
  clock: Clock
  input: string
  liveCount: () => number
}): Promise<BatchView> {
  const { api, bars, clock, input } = options
  const fileId = await api.upload('documents.jsonl', input)
  let batch = await api.call<BatchView>('POST', '/v1/batches', {
    input_file_id: fileId,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  const bar = bars.add('documents', input.split('\n').length - 1)
  while (!['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
    await clock.sleep(200)
    batch = await api.call<BatchView>('GET', `/v1/batches/${batch.id}`)
    bar.set(
      batch.request_counts.completed + batch.request_counts.failed,
      `${batch.status}, ${options.liveCount()} live requests sent`,
    )
  }
  return batch
}

async function watch(
  bars: Bars,
  name: string,
  total: number,
  count: () => number,
  clock: Clock,
  seconds: number,
): Promise<void> {
  const bar = bars.add(name, total)
  for (let tick = 0; tick < seconds * 10; tick++) {
    await clock.sleep(100)
    bar.set(count(), '')
  }
}

/** The model to use: the worker tells of it a moment after it has met its engine. */
async function firstModel(api: Api, clock: Clock): Promise<string> {
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 100) {
    const models = await api.call<{ data: { id: string }[] }>('GET', '/v1/models')
    if (models.data[0]) return models.data[0].id
    await clock.sleep(100)
  }
  throw new ForebayError('unavailable', 'No worker told of a model within 30 s. Is the engine up?')
}
