import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { silentLogger, systemClock } from '@forebay/kernel'
import type { TestProject } from 'vitest/node'
import { dropRunDatabases } from './database.ts'
import type { Provided } from './provided.ts'
import { startRedis } from './redis.ts'

interface Servers extends Provided {
  stop(): Promise<void>
}

// Vitest runs this file once per project; the projects of one run share the servers.
const key = Symbol.for('forebay.test-servers')
const shared = globalThis as { [key]?: { servers: Promise<Servers>; users: number } }

/**
 * Starts one Postgres and one Redis for the run, or takes those of TEST_POSTGRES_URL and TEST_REDIS_URL, and hands
 * their addresses to the tests. The function it returns stops them and removes every folder of the run.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared[key] ??= { servers: startServers(), users: 0 }
  const use = shared[key]
  use.users++
  const { stop, ...values } = await use.servers
  for (const [name, value] of Object.entries(values)) project.provide(name as keyof Provided, value)
  return async () => {
    if (--use.users > 0) return
    delete shared[key]
    await stop()
  }
}

async function startServers(): Promise<Servers> {
  const tempRoot = mkdtempSync(join(realpathSync(tmpdir()), 'forebay-test-'))
  // Under root, Postgres runs as another account and must be able to pass through.
  chmodSync(tempRoot, 0o755)
  const runId = randomBytes(4).toString('hex')
  const [postgres, redis] = await Promise.allSettled([startPostgres(tempRoot), startTestRedis(tempRoot)])
  // A run that is cut short does not reach the teardown; the servers end with the process by themselves.
  const removeRoot = () => rmSync(tempRoot, { recursive: true, force: true, maxRetries: 5 })
  process.on('exit', removeRoot)
  const stop = async () => {
    const url = postgres.status === 'fulfilled' ? postgres.value.url : undefined
    if (url !== undefined && process.env['TEST_POSTGRES_URL']) await dropRunDatabases({ url, runId })
    await Promise.all([postgres, redis].map((server) => server.status === 'fulfilled' && server.value.stop()))
    process.off('exit', removeRoot)
    removeRoot()
  }
  if (postgres.status === 'rejected' || redis.status === 'rejected') {
    await stop()
    throw postgres.status === 'rejected' ? postgres.reason : (redis as PromiseRejectedResult).reason
  }
  return { postgresUrl: postgres.value.url, redisUrl: redis.value.url, runId, tempRoot, stop }
}

async function startPostgres(tempRoot: string): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env['TEST_POSTGRES_URL']
  if (given) return { url: given, stop: async () => {} }
  const server = await startEmbeddedPostgres({
    dataDir: join(tempRoot, 'postgres'),
    logger: silentLogger,
    clock: systemClock,
    // Nothing in it outlives the run.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '400' },
  })
  return { url: server.adminUrl, stop: () => server.stop() }
}

async function startTestRedis(tempRoot: string): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env['TEST_REDIS_URL']
  return given ? { url: given, stop: async () => {} } : startRedis({ dir: tempRoot })
}
