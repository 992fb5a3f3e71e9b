import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { loadConfig } from '@forebay/config'
import { type Running, silentLogger, systemClock } from '@forebay/kernel'
import { ownProcess, Supervisor, startCluster, startSimulator } from '@forebay/standalone'
import { freePort } from '@forebay/test-support'
import { request } from 'undici'
import { FaultClient } from '../faults/client.ts'
import { batchFileOf, type Workload } from './workload.ts'

/** Forebay under measurement, every process its own. */
export interface Target extends Running {
  url: string
  apiKey: string
  redisUrl: string
  client: FaultClient
}

type Env = Record<string, string | undefined>

const apiKey = 'fb-benchmark-key-0001'

/** The environment of every process; with `profileDir` each leaves a CPU profile there when it ends. */
export function environment(options: { profileDir?: string | undefined; settings?: Env }): Env {
  return {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    FOREBAY_LOG_LEVEL: process.env['FOREBAY_LOG_LEVEL'] ?? 'error',
    FOREBAY_API_KEY: apiKey,
    FOREBAY_REQUESTS_PER_MINUTE: '10000000',
    FOREBAY_TOKENS_PER_MINUTE: '2000000000',
    ...(options.profileDir === undefined
      ? {}
      : {
          NODE_OPTIONS: `--import=${new URL('./profile.mjs', import.meta.url).href}`,
          BENCH_PROFILE: resolve(options.profileDir),
        }),
    ...options.settings,
  }
}

/** An engine simulator as a process of its own. */
export async function startEngine(
  args: readonly string[],
  env: Env,
): Promise<Running & { url: string; model: string }> {
  const engine = await startSimulator({ clock: systemClock, simArgs: args, env })
  const [model = ''] = engine.models
  return { url: engine.url, model, stop: () => engine.stop() }
}

/** One of each process on Redis and Postgres, in front of the engine. */
export async function startOnRedis(options: { engineUrl: string; env: Env }): Promise<Target> {
  const dir = await mkdtemp(join(tmpdir(), 'forebay-bench-'))
  const env = { ...options.env, PORT: '0', FOREBAY_DATA_DIR: dir, FOREBAY_ENGINE_URL: options.engineUrl }
  const { config } = loadConfig(env)
  const replicas = { gateway: 1, scheduler: 1, results: 1, webhooks: 1, worker: 1 }
  const cluster = await startCluster({ config, clock: systemClock, logger: silentLogger, env, replicas })
  const [url = ''] = cluster.urls
  const stop = async () => {
    await cluster.stop()
    await rm(dir, { recursive: true, force: true })
  }
  return ready({ url, apiKey: cluster.apiKey, redisUrl: cluster.redisUrl, stop })
}

/** `npm start`: everything in one process, the queue in its embedded Postgres. */
export async function startEmbedded(options: { engineUrl: string; env: Env }): Promise<Target> {
  const dir = await mkdtemp(join(tmpdir(), 'forebay-bench-'))
  const port = await freePort()
  const env = { ...options.env, PORT: `${port}`, FOREBAY_DATA_DIR: dir, FOREBAY_ENGINE_URL: options.engineUrl }
  const supervisor = new Supervisor({ clock: systemClock, logger: silentLogger })
  supervisor.start('standalone', ownProcess({ script: 'services/standalone/src/main.ts', env }))
  const stop = async () => {
    await supervisor.stop()
    await rm(dir, { recursive: true, force: true })
  }
  return ready({ url: `http://127.0.0.1:${port}`, apiKey, redisUrl: '', stop })
}

/** A batch as its client saw it; times in milliseconds since the upload began. */
export interface BatchRun {
  endedMs: number
  /** When its first and its last request were seen done. */
  firstMs: number
  lastMs: number
  /** Requests a second between a tenth done and nine tenths done. */
  steadyPerSecond: number
}

/** Uploads a workload as a batch and waits for its end. Throws when a request of it failed. */
export async function runBatch(target: Target, workload: Workload): Promise<BatchRun> {
  const file = batchFileOf(workload)
  const { client } = target
  const startMs = performance.now()
  const created = await client.createBatch(await client.upload('bench.jsonl', file), `bench-${workload.seed}`)
  const progress: { atMs: number; done: number }[] = []
  for (;;) {
    const batch = await client.batch(created.id)
    const atMs = performance.now() - startMs
    const { completed: done, failed } = batch.request_counts
    progress.push({ atMs, done })
    if (batch.status === 'completed' && done === workload.requests) return summary(progress, workload.requests)
    if (failed > 0 || ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
      throw new Error(`the batch did not complete whole: ${JSON.stringify(batch)}`)
    }
    await systemClock.sleep(50)
  }
}

function summary(progress: readonly { atMs: number; done: number }[], requests: number): BatchRun {
  const when = (count: number) => progress.find(({ done }) => done >= count) ?? { atMs: 0, done: 0 }
  const [from, to] = [when(0.1 * requests), when(0.9 * requests)]
  return {
    endedMs: progress.at(-1)?.atMs ?? 0,
    firstMs: when(1).atMs,
    lastMs: when(requests).atMs,
    steadyPerSecond: ((to.done - from.done) * 1000) / (to.atMs - from.atMs),
  }
}

async function ready(target: Omit<Target, 'client'>): Promise<Target> {
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 100) {
    if (await knowsModel(target)) return { ...target, client: new FaultClient({ urls: [target.url], apiKey }) }
    await systemClock.sleep(100)
  }
  await target.stop()
  throw new Error(`${target.url} did not announce a model within 60 s`)
}

async function knowsModel({ url, apiKey }: { url: string; apiKey: string }): Promise<boolean> {
  try {
    const { body } = await request(`${url}/v1/models`, { headers: { authorization: `Bearer ${apiKey}` } })
    const answer = (await body.json()) as { data?: unknown[] }
    return (answer.data?.length ?? 0) > 0
  } catch {
    return false
  }
}
