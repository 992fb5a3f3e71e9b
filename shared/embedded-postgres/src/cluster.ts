import { randomBytes } from 'node:crypto'
import { access, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { type Account, finished } from './account.ts'
import type { Binaries } from './binaries.ts'
import { isAlive } from './postmaster.ts'

/** The superuser of the embedded database. */
export const superuser = 'forebay'

/** A database cluster on disk: `<dataDir>/cluster/{data,password}`, which appear together or not at all. */
export interface Cluster {
  /** Postgres's own data folder. */
  readonly data: string
  readonly password: string
}

/** Reads the cluster under `dataDir`; undefined when there is none, or only half of one. */
export async function readCluster(dataDir: string): Promise<Cluster | undefined> {
  const data = join(dataDir, 'cluster', 'data')
  try {
    await access(join(data, 'global', 'pg_control'))
    return { data, password: await readFile(join(dataDir, 'cluster', 'password'), 'utf8') }
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
    throw err
  }
}

/**
 * Makes a cluster in a folder of its own and renames it into place, so that a crash half-way leaves nothing that could
 * be taken for a database, and of two processes that do it at once one wins.
 */
export async function createCluster(options: {
  dataDir: string
  binaries: Binaries
  account: Account
  clock: Clock
  logger: Logger
  /** False skips fsync; for tests. */
  sync: boolean
}): Promise<Cluster> {
  const { dataDir, account, logger, clock } = options
  await removeLeftovers(dataDir)
  const work = join(dataDir, `cluster.new-${process.pid}-${randomBytes(4).toString('hex')}`)
  const password = randomBytes(24).toString('base64url')
  try {
    await mkdir(work, { mode: 0o700 })
    await writeFile(join(work, 'password'), password, { mode: 0o600, flush: true })
    await account.own(work)
    await initdb({ ...options, work })
    const target = join(dataDir, 'cluster')
    await rename(work, target).catch(async (err: NodeJS.ErrnoException) => {
      if (err.code !== 'ENOTEMPTY' && err.code !== 'EEXIST') throw err
      if (await readCluster(dataDir)) return
      const aside = `${target}.broken-${clock.now()}`
      logger.warn({ aside }, 'the database folder held half a database; moved it aside')
      await rename(target, aside)
      await rename(work, target)
    })
    if (options.sync) await syncFolder(dataDir)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const cluster = await readCluster(dataDir)
  if (!cluster) throw new ForebayError('internal', `The database made in ${dataDir} disappeared.`)
  return cluster
}

async function initdb(options: { work: string; binaries: Binaries; account: Account; sync: boolean }): Promise<void> {
  const { work, binaries, account } = options
  const args = [
    ...['--pgdata', join(work, 'data'), '--username', superuser, '--pwfile', join(work, 'password')],
    ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--locale-provider=builtin'],
    ...['--builtin-locale=C.UTF-8', '--no-instructions', ...(options.sync ? [] : ['--no-sync'])],
  ]
  const { code, stderr } = await finished(account.spawn(binaries.initdb, args, { stdio: ['ignore', 'ignore', 'pipe'] }))
  if (code !== 0) throw new ForebayError('internal', `initdb failed (exit ${code}): ${stderr.trim().slice(-2000)}`)
}

/** Removes what initdb runs that died left behind; one still running keeps its folder. */
async function removeLeftovers(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const pid = /^cluster\.new-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && (Number(pid) === process.pid || !isAlive(Number(pid)))) {
      await rm(join(dataDir, name), { recursive: true, force: true })
    }
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
