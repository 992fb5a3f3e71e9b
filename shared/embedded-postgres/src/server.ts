import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile, stat, truncate } from 'node:fs/promises'
import { createServer } from 'node:net'
import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import type { Account } from './account.ts'
import { type Binaries, useOwnDatabase } from './binaries.ts'
import { findPostmaster, type Postmaster, removeRecycledPidFile } from './postmaster.ts'

/** What starting a Postgres on a cluster needs. */
export interface ServerOptions {
  data: string
  logFile: string
  binaries: Binaries
  account: Account
  settings: Readonly<Record<string, string>>
  clock: Clock
  logger: Logger
}

const attempts = 20
const betweenAttemptsMs = 250
const readyMs = 120_000
const maxLogBytes = 4 * 1024 * 1024

/**
 * Starts Postgres as our child on `port` (a free one when undefined) and answers when it is ready. Retries while the
 * remains of a killed one are still in the way. Throws `unavailable` with the end of its log when it will not start.
 */
export async function startServer(options: ServerOptions & { port: number | undefined }): Promise<Postmaster> {
  const { data, clock, logger } = options
  for (let attempt = 1; ; attempt++) {
    await removeRecycledPidFile(data)
    const from = await trimLog(options.logFile)
    const child = spawnServer(options, options.port ?? (await freePort()))
    const running = await becomesReady(child, data, clock)
    if (running) return running
    const said = (await readFile(options.logFile, 'utf8').catch(() => '')).slice(from).trim()
    // Another process may have been faster: then it is for the lock to say so.
    const other = await findPostmaster(data)
    if (other?.ready) return other
    if (attempt === attempts || !isPassing(said, options.port)) throw failed(said, options)
    logger.debug({ attempt }, 'the remains of a killed Postgres are in the way; trying again')
    await clock.sleep(betweenAttemptsMs)
  }
}

function spawnServer(options: ServerOptions, port: number): ChildProcess {
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    // A data folder's path may be longer than a socket's may be.
    unix_socket_directories: '',
    shared_buffers: '64MB',
    ...options.settings,
  }
  const log = openSync(options.logFile, 'a', 0o600)
  try {
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    // Its own process group: a Ctrl-C in the terminal is for us, who then stop it last.
    return options.account.spawn(options.binaries.postgres, ['-D', options.data, ...flags], {
      stdio: ['ignore', log, log],
      detached: true,
    })
  } finally {
    closeSync(log)
  }
}

async function becomesReady(child: ChildProcess, data: string, clock: Clock): Promise<Postmaster | undefined> {
  let ended = false
  child.on('error', () => {
    ended = true
  })
  child.once('exit', () => {
    ended = true
  })
  const deadline = clock.now() + readyMs
  while (!ended && clock.now() < deadline) {
    const running = await findPostmaster(data)
    if (running?.ready && running.pid === child.pid) return running
    await clock.sleep(5)
  }
  if (!ended) child.kill('SIGQUIT')
  return undefined
}

function isPassing(said: string, port: number | undefined): boolean {
  if (/postmaster\.pid" already exists|shared memory block .* is still in use/.test(said)) return true
  // A port we chose was free a moment ago; one that was asked for will not become free.
  return port === undefined && /could not bind|Address already in use/.test(said)
}

function failed(said: string, options: { port: number | undefined; data: string }): ForebayError {
  const fatal = said.split('\n').filter((line) => /FATAL|PANIC|ERROR|error|could not/.test(line))
  const why = (fatal.length > 0 ? fatal : [said]).join(' ').slice(-1000)
  return new ForebayError(
    'unavailable',
    `The embedded Postgres did not start on ${options.data}: ${why}. ${useOwnDatabase}`,
  )
}

/** Keeps the log from growing without end; answers its length, where the next start's lines begin. */
async function trimLog(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  if (!found) return 0
  if (found.size <= maxLogBytes) return found.size
  await truncate(path)
  return 0
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
