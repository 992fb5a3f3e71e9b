import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadConfig } from '@forebay/config'
import { type Logger, systemClock } from '@forebay/kernel'
import { ownProcess, Supervisor, startCluster, startSimulator } from '@forebay/standalone'
import { freePort } from '@forebay/test-support'
import { request } from 'undici'

/** A running Forebay whose processes can be killed; each is started again by itself. */
export interface Target {
  urls: string[]
  apiKey: string
  databaseUrl(): Promise<string>
  /** What a kill may hit. */
  victims: string[]
  kill(name: string): Promise<boolean>
  stop(): Promise<void>
}

const apiKey = 'fb-fault-injection-key'

/** Leases short enough that a test need not wait for the defaults; all processes agree on them. */
function environment(dataDir: string, port: number): Record<string, string | undefined> {
  return {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    PORT: String(port),
    FOREBAY_DATA_DIR: dataDir,
    FOREBAY_API_KEY: apiKey,
    FOREBAY_LOG_LEVEL: process.env['FOREBAY_LOG_LEVEL'] ?? 'fatal',
    FOREBAY_QUEUE_LEASE_MS: '3000',
    FOREBAY_CHUNK_LEASE_MS: '6000',
    FOREBAY_CHUNK_REQUESTS: '16',
    FOREBAY_REQUESTS_PER_MINUTE: '1000000',
  }
}

const simArgs = ['--profile', 'fixed', '--fixed-ms', '250']

/** Standalone: one process, killed whole. Its engine is apart, as in real life. */
export async function startStandaloneTarget(options: { dataDir: string; logger: Logger }): Promise<Target> {
  const { dataDir, logger } = options
  const port = await freePort()
  const env = environment(dataDir, port)
  const engine = await startSimulator({ clock: systemClock, simArgs, env })
  const supervisor = new Supervisor({ clock: systemClock, logger })
  supervisor.start(
    'standalone',
    ownProcess({ script: 'services/standalone/src/main.ts', env: { ...env, FOREBAY_ENGINE_URL: engine.url } }),
  )
  const url = `http://127.0.0.1:${port}`
  await untilReady(url)
  return {
    urls: [url],
    apiKey,
    databaseUrl: () => embeddedUrl(join(dataDir, 'postgres')),
    victims: ['standalone'],
    kill: (name) => supervisor.kill(name, 'SIGKILL'),
    stop: async () => {
      await supervisor.stop()
      await engine.stop()
    },
  }
}

/** The separate processes on Redis, Redis among the victims. */
export async function startClusterTarget(options: { dataDir: string; logger: Logger }): Promise<Target> {
  const env = environment(options.dataDir, 0)
  const { config } = loadConfig(env)
  const replicas = { gateway: 1, scheduler: 2, results: 2, webhooks: 1, worker: 2 }
  const cluster = await startCluster({ config, clock: systemClock, logger: options.logger, env, replicas, simArgs })
  return {
    urls: cluster.urls,
    apiKey: cluster.apiKey,
    databaseUrl: async () => cluster.databaseUrl,
    victims: cluster.supervisor.names(),
    kill: (name) => cluster.supervisor.kill(name, 'SIGKILL'),
    stop: () => cluster.stop(),
  }
}

// The embedded database's own files tell where it is; the product is not asked.
async function embeddedUrl(folder: string): Promise<string> {
  const password = await readFile(join(folder, 'cluster', 'password'), 'utf8')
  const port = (await readFile(join(folder, 'cluster', 'data', 'postmaster.pid'), 'utf8')).split('\n')[3]
  return `postgres://forebay:${password}@127.0.0.1:${port}/forebay`
}

async function untilReady(url: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 100) {
    try {
      const response = await request(`${url}/readyz`)
      await response.body.dump()
      if (response.statusCode === 200) return
    } catch {}
    await systemClock.sleep(100)
  }
  throw new Error(`${url} was not ready within 60 s`)
}
