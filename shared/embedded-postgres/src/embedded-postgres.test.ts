import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs'
import { cp, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock } from '@forebay/kernel'
import pg from 'pg'
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { findBinaries } from './binaries.ts'
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './index.ts'
import { isAlive } from './postmaster.ts'

const isRoot = process.getuid?.() === 0
const nobody = { uid: 65534, gid: 65534 }
const repository = new URL('../../../', import.meta.url).pathname
// Killing a process loses nothing that the system was given, synced or not.
const settings = { fsync: 'off' }
const within = { timeout: 15_000, interval: 20 }

const template = mkdtempSync(join(realpathSync(tmpdir()), 'forebay-pg-'))
beforeAll(async () => {
  const server = await startEmbeddedPostgres({ logger: silentLogger, clock: systemClock, settings, dataDir: template })
  await server.stop()
})
afterAll(() => rmSync(template, { recursive: true, force: true }))

it('starts on loopback with a password of its own, and keeps its data over stop and start', async () => {
  const dataDir = folder()
  const first = await start({ dataDir, settings: {} })
  await query(first.url, 'CREATE TABLE t AS SELECT 7 AS n')
  expect(await query(first.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }])
  expect(await query(first.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }])
  expect(statSync(join(dataDir, 'cluster', 'password')).mode & 0o777).toBe(0o600)
  const guess = new URL(first.url)
  guess.password = 'guess'
  await expect(query(guess.href, 'SELECT 1')).rejects.toThrow(/password/)
  await first.stop()
  await first.stop()
  await expect(query(first.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
  // Gone but for the moment until this process has taken note of its exit.
  await vi.waitFor(() => expect(isAlive(first.pid)).toBe(false), within)
  const second = await start({ dataDir })
  expect(await query(second.url, 'SELECT n FROM t')).toEqual([{ n: 7 }])
  expect(await query(second.adminUrl, 'SELECT current_database() AS name')).toEqual([{ name: 'postgres' }])
})

it('starts a killed Postgres again once, on the same address with its data, and says when it stays down', async () => {
  const events: boolean[] = []
  const server = await start({ dataDir: folderWithDatabase(), onExit: ({ restarted }) => events.push(restarted) })
  await query(server.url, 'CREATE TABLE t AS SELECT 7 AS n')
  process.kill(server.pid, 'SIGKILL')
  await vi.waitFor(() => expect(events).toEqual([true]), within)
  expect(await query(server.url, 'SELECT n FROM t')).toEqual([{ n: 7 }])
  process.kill(server.pid, 'SIGKILL')
  await vi.waitFor(() => expect(events).toEqual([true, false]), within)
})

it('takes over the Postgres that a killed process left running, and stops it in the end', async () => {
  const dataDir = folderWithDatabase()
  const owner = await startElsewhere({ dataDir })
  await query(owner.url, 'CREATE TABLE t AS SELECT 7 AS n')
  await owner.kill()
  expect(isAlive(owner.pid)).toBe(true)
  const heir = await start({ dataDir })
  expect(heir.pid).toBe(owner.pid)
  expect(await query(heir.url, 'SELECT n FROM t')).toEqual([{ n: 7 }])
  await heir.stop()
  expect(existsSync(join(dataDir, 'cluster', 'data', 'postmaster.pid'))).toBe(false)
  await expect(query(owner.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
})

it('moves an orphan to the port that is asked for', async () => {
  const dataDir = folderWithDatabase()
  const owner = await startElsewhere({ dataDir })
  await owner.kill()
  const port = await freePort()
  const heir = await start({ dataDir, port })
  expect(heir.port).toBe(port)
  expect(heir.pid).not.toBe(owner.pid)
})

it('keeps what was committed when Postgres and its owner are both killed', async () => {
  const dataDir = folderWithDatabase()
  const owner = await startElsewhere({ dataDir })
  await query(owner.url, 'CREATE TABLE t AS SELECT 7 AS n')
  await owner.kill()
  process.kill(owner.pid, 'SIGKILL')
  const next = await start({ dataDir })
  expect(await query(next.url, 'SELECT n FROM t')).toEqual([{ n: 7 }])
})

it('refuses a folder that another live process uses, names that process, and does it no harm', async () => {
  const dataDir = folderWithDatabase()
  const owner = await startElsewhere({ dataDir })
  await expect(start({ dataDir })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(`pid ${owner.ownerPid}`),
  })
  expect(await query(owner.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
})

it('starts although postmaster.pid names a program that is not Postgres', async () => {
  const dataDir = folderWithDatabase()
  const other = spawn('sleep', ['60'], isRoot ? { uid: statSync(dataDir).uid } : {})
  onTestFinished(() => void other.kill())
  await writeFile(join(dataDir, 'cluster', 'data', 'postmaster.pid'), `${other.pid}\n`)
  const server = await start({ dataDir })
  expect(await query(server.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
})

it('makes the database anew when an earlier attempt stopped half-way, and throws nothing away', async () => {
  const dataDir = folder()
  mkdirSync(join(dataDir, 'cluster.new-999999999-00', 'data'), { recursive: true })
  mkdirSync(join(dataDir, 'cluster', 'data'), { recursive: true })
  await writeFile(join(dataDir, 'cluster', 'data', 'PG_VERSION'), '18\n')
  const server = await start({ dataDir })
  expect(await query(server.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
  const names = readdirSync(dataDir)
  expect(names.filter((name) => name.startsWith('cluster.new'))).toEqual([])
  expect(names.filter((name) => name.startsWith('cluster.broken'))).toHaveLength(1)
})

it('says that the port asked for is taken, and leaves nothing running', async () => {
  const blocker = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void blocker.close())
  await vi.waitFor(() => expect(blocker.listening).toBe(true), within)
  const address = blocker.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await expect(start({ dataDir: folderWithDatabase(), port })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/Address already in use|could not bind/),
  })
})

it('names DATABASE_URL on a platform without binaries', () => {
  expect(() => findBinaries('linux', 'mips')).toThrow(/linux-mips.*DATABASE_URL/)
  expect(() => findBinaries('win32', 'x64')).toThrow(/Windows.*DATABASE_URL/)
})

it('makes the links between libraries that a skipped install script left out', async () => {
  const parent = folder(0o755)
  const binariesRoot = await binariesWithoutLinks(parent)
  const server = await start({ dataDir: join(parent, 'data'), binariesRoot })
  expect(await query(server.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
  expect(existsSync(join(binariesRoot, 'lib', 'libpq.so.5'))).toBe(process.platform === 'linux')
})

const canBeNobody = !isRoot || spawnSync('test', ['-r', import.meta.filename], nobody).status === 0

it.skipIf(!canBeNobody)('runs without root, from a read-only installation with the links left out', async () => {
  const parent = folder(0o755)
  const binariesRoot = await binariesWithoutLinks(parent)
  for (const path of [binariesRoot, join(binariesRoot, 'lib')]) chmodSync(path, 0o555)
  onTestFinished(() => chmodSync(join(binariesRoot, 'lib'), 0o755))
  const dataDir = folder()
  if (isRoot) chownSync(dataDir, nobody.uid, nobody.gid)
  const server = await startElsewhere({ dataDir, binariesRoot }, isRoot ? nobody : {})
  expect(await query(server.url, 'SELECT 1 AS n')).toEqual([{ n: 1 }])
  expect(readdirSync(join(dataDir, 'lib'))).toContain('libpq.so.5')
  await server.stop()
})

it.skipIf(!isRoot || process.platform !== 'linux')(
  'runs as root with binaries and data under a closed folder',
  async () => {
    const parent = folder(0o700)
    const options = { dataDir: join(parent, 'data'), binariesRoot: await binariesWithoutLinks(parent) }
    const first = await start(options)
    expect(statSync(`/proc/${first.pid}`).uid).not.toBe(0)
    await query(first.url, 'CREATE TABLE t AS SELECT 7 AS n')
    await first.stop()
    const second = await start(options)
    expect(await query(second.url, 'SELECT n FROM t')).toEqual([{ n: 7 }])
  },
)

function folder(mode = 0o755): string {
  const path = mkdtempSync(join(realpathSync(tmpdir()), 'forebay-pg-'))
  chmodSync(path, mode)
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A folder with a new database in it, copied because making one takes longer. */
function folderWithDatabase(): string {
  const path = folder()
  expect(spawnSync('cp', ['-Rp', join(template, 'cluster'), path]).status).toBe(0)
  return path
}

async function start(options: Partial<EmbeddedPostgresOptions> & { dataDir: string }): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ logger: silentLogger, clock: systemClock, settings, ...options })
  onTestFinished(() => server.stop())
  return server
}

interface Elsewhere {
  url: string
  pid: number
  ownerPid: number
  kill(): Promise<void>
  stop(): Promise<void>
}

/** Starts Postgres from a process of its own, which can then be killed. */
async function startElsewhere(
  options: { dataDir: string; binariesRoot?: string },
  as: { uid?: number; gid?: number } = {},
): Promise<Elsewhere> {
  const script = `
    import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
    import { silentLogger, systemClock } from '@forebay/kernel'
    const server = await startEmbeddedPostgres({ ...${JSON.stringify({ settings, ...options })}, logger: silentLogger, clock: systemClock })
    console.log(JSON.stringify({ url: server.url, pid: server.pid }))
    process.on('SIGTERM', () => server.stop().then(() => process.exit(0)))`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...as,
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += String(text)))
  onTestFinished(() => stopAll(child, options.dataDir))
  const line = await vi.waitFor(() => {
    if (child.exitCode !== null) throw new Error(said)
    const found = said.split('\n').find((text) => text.startsWith('{"url"'))
    expect(found).toBeDefined()
    return found ?? ''
  }, within)
  const { url, pid } = JSON.parse(line) as { url: string; pid: number }
  return {
    url,
    pid,
    ownerPid: child.pid ?? 0,
    kill: () => end(child, 'SIGKILL'),
    stop: () => end(child, 'SIGTERM'),
  }
}

/** Stops the owner, and the Postgres that it may have left behind when the test killed it. */
async function stopAll(child: ChildProcess, dataDir: string): Promise<void> {
  const alive = child.exitCode === null && child.signalCode === null
  if (alive) return end(child, 'SIGTERM')
  if (existsSync(join(dataDir, 'cluster', 'data', 'postmaster.pid'))) {
    await (await startEmbeddedPostgres({ dataDir, logger: silentLogger, clock: systemClock })).stop()
  }
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

async function binariesWithoutLinks(parent: string): Promise<string> {
  const root = join(parent, 'native')
  await cp(findBinaries(), root, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() })
  return root
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await vi.waitFor(() => expect(server.listening).toBe(true), within)
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
