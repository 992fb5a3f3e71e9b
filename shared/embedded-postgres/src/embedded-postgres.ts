import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, ForebayError, isForebayError, type Logger } from '@forebay/kernel'
import { type Account, chooseAccount } from './account.ts'
import { type Binaries, findBinaries, prepareBinaries, useOwnDatabase } from './binaries.ts'
import { type Cluster, createCluster, readCluster, superuser } from './cluster.ts'
import { type Lock, takeLock } from './lock.ts'
import { findPostmaster, type Postmaster, send, stopPostmaster } from './postmaster.ts'
import { startServer } from './server.ts'

/** What `startEmbeddedPostgres` takes. */
export interface EmbeddedPostgresOptions {
  /** Folder for the database; made when missing. One process at a time may use it. */
  dataDir: string
  logger: Logger
  clock: Clock
  /** Port on 127.0.0.1; a free one when not given. */
  port?: number
  /** Name of the database `url` points to; made when missing. Default `forebay`. */
  database?: string
  /** Postgres settings to add or override. `fsync: 'off'` also makes the first start faster, for tests. */
  settings?: Readonly<Record<string, string>>
  /** Folder with other binaries (`bin`, `lib`, `share`) than those from npm. */
  binariesRoot?: string
  /** Called when Postgres died by itself: the first time it was started again, after the second it stays down. */
  onExit?: (event: { restarted: boolean }) => void
}

/** A running embedded Postgres. */
export interface EmbeddedPostgres {
  /** Connection string of the database asked for. */
  readonly url: string
  /** Connection string of the maintenance database `postgres`; same superuser. */
  readonly adminUrl: string
  readonly port: number
  /** The postmaster's process id; another one after a restart. */
  readonly pid: number
  /** Stops Postgres and waits until it is gone. Idempotent. */
  stop(): Promise<void>
}

/**
 * Starts a real Postgres as a child of this process, its data in `dataDir`, reachable on loopback only with a random
 * password. A Postgres that a killed process left running there is taken over. Throws `conflict` when another live
 * process uses `dataDir`, `config_invalid` when this system cannot run it, `unavailable` when it will not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  // One name for one folder: a running Postgres is known by it.
  const dataDir = await realpath(options.dataDir)
  const root = options.binariesRoot ?? findBinaries()
  const binaries = await prepareBinaries({ root, dataDir })
  const account = await chooseAccount({ binaries, dataDir })
  const cluster =
    (await readCluster(dataDir)) ??
    (await createCluster({ ...options, dataDir, binaries, account, sync: options.settings?.['fsync'] !== 'off' }))
  const keeper = new Keeper({ ...options, dataDir, binaries, account, cluster })
  await keeper.start()
  return keeper
}

interface KeeperOptions extends EmbeddedPostgresOptions {
  binaries: Binaries
  account: Account
  cluster: Cluster
}

/** Keeps one Postgres running from `start` to `stop`; starts it again once if it dies in between. */
class Keeper implements EmbeddedPostgres {
  readonly #options: KeeperOptions
  readonly #onProcessExit = () => {
    if (this.#server) send(this.#server.pid, 'SIGINT')
  }
  #server: Postmaster | undefined
  #lock: Lock | undefined
  #port: number | undefined
  #restarted = false
  #stopping: Promise<void> | undefined
  #opening: Promise<void> | undefined
  #watching: Promise<void> | undefined

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#port = options.port
  }

  get url(): string {
    return this.#url(this.#options.database ?? 'forebay')
  }

  get adminUrl(): string {
    return this.#url('postgres')
  }

  get port(): number {
    return this.#running().port
  }

  get pid(): number {
    return this.#running().pid
  }

  async start(): Promise<void> {
    await this.#open()
    // When the process ends without `stop`, Postgres ends too; a killed process leaves it to the next start.
    process.on('exit', this.#onProcessExit)
    this.#watching = this.#watch()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    process.off('exit', this.#onProcessExit)
    await this.#opening?.catch(() => undefined)
    const { clock } = this.#options
    if (this.#server) await stopPostmaster({ pid: this.#server.pid, clock })
    await this.#lock?.release()
    await this.#watching
  }

  /** Finds or starts Postgres and takes the lock; on failure stops what it started. */
  async #open(): Promise<void> {
    const { cluster, clock, logger, account } = this.#options
    const logFile = join(this.#options.dataDir, 'postgres.log')
    const found = await this.#adoptable()
    if (!found) await account.own(join(this.#options.dataDir, 'cluster'))
    const settings = this.#options.settings ?? {}
    this.#server =
      found ?? (await startServer({ ...this.#options, data: cluster.data, settings, logFile, port: this.#port }))
    this.#port = this.#server.port
    try {
      this.#lock = await takeLock({ url: this.adminUrl, dataDir: this.#options.dataDir, clock })
      await this.#lock.createDatabase(this.#options.database ?? 'forebay')
    } catch (err) {
      await this.#lock?.release()
      // A database that another process uses is not ours to stop.
      const foreign = found !== undefined || (isForebayError(err) && err.code === 'conflict')
      if (!foreign) await stopPostmaster({ pid: this.#server.pid, clock })
      this.#server = undefined
      throw err
    }
    logger.info({ pid: this.#server.pid, port: this.#port, adopted: found !== undefined }, 'embedded postgres is up')
  }

  /** The Postgres that runs already, once it is ready; undefined when none does. */
  async #adoptable(): Promise<Postmaster | undefined> {
    const { cluster, clock } = this.#options
    const deadline = clock.now() + 120_000
    for (;;) {
      const found = await findPostmaster(cluster.data)
      if (!found || (found.ready && (this.#port === undefined || found.port === this.#port))) return found
      if (found.ready) return this.#moved(found)
      if (clock.now() > deadline) return found
      await clock.sleep(20)
    }
  }

  /** An orphan on another port than the one asked for: stopped, unless somebody uses it. */
  async #moved(found: Postmaster): Promise<undefined> {
    const { dataDir, clock } = this.#options
    const lock = await takeLock({ url: this.#url('postgres', found.port), dataDir, clock })
    await lock.release()
    await stopPostmaster({ pid: found.pid, clock })
  }

  async #watch(): Promise<void> {
    const { logger, onExit } = this.#options
    for (;;) {
      await this.#lock?.lost
      if (this.#stopping) return
      // A crash of one connection's process makes Postgres reset all of them and live on: that is no death.
      const died = !(await findPostmaster(this.#options.cluster.data))
      if (died && this.#restarted) {
        logger.error('embedded postgres died again; giving up')
        this.#server = undefined
        onExit?.({ restarted: false })
        return
      }
      try {
        logger.error({ died }, 'embedded postgres died; starting it again')
        this.#opening = this.#open()
        await this.#opening
      } catch (err) {
        logger.error({ err }, 'embedded postgres could not be started again')
        onExit?.({ restarted: false })
        return
      }
      if (died) {
        this.#restarted = true
        onExit?.({ restarted: true })
      }
    }
  }

  #running(): Postmaster {
    if (this.#server) return this.#server
    throw new ForebayError('unavailable', `The embedded Postgres is not running. ${useOwnDatabase}`)
  }

  #url(database: string, port = this.port): string {
    const { password } = this.#options.cluster
    return `postgres://${superuser}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`
  }
}
