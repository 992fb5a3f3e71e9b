import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { lchown, lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ForebayError } from '@forebay/kernel'
import { type Binaries, useOwnDatabase } from './binaries.ts'

/** Starts Postgres programs under an account that Postgres accepts: it refuses to run as uid 0. */
export interface Account {
  /** Starts a program as this account, with `/` as its folder. */
  spawn(command: string, args: readonly string[], options: Pick<SpawnOptions, 'stdio' | 'detached'>): ChildProcess
  /** Gives `path` and everything under it to the account. */
  own(path: string): Promise<void>
}

interface Ids {
  uid: number
  gid: number
}

/**
 * The account to run Postgres under: our own when we are not root; else `postgres`, or `nobody`. If that account cannot
 * reach the programs or `dataDir` because a folder above is closed (a 0700 /root), it is given the one capability to
 * pass closed folders. Throws `config_invalid`, naming the way out, when nothing works.
 */
export async function chooseAccount(options: { binaries: Binaries; dataDir: string }): Promise<Account> {
  const { binaries, dataDir } = options
  if (process.getuid?.() !== 0) {
    const account = makeAccount(binaries, undefined, [])
    const failure = await probe(account, binaries, dataDir)
    if (failure === undefined) return account
    throw cannotRun(failure, dataDir)
  }
  const ids = await unprivileged()
  if (!ids) throw cannotRun('there is neither an account "postgres" nor "nobody" to run it as', dataDir)
  await lchown(dataDir, ids.uid, ids.gid)
  const plain = makeAccount(binaries, ids, [])
  let failure = await probe(plain, binaries, dataDir)
  if (failure === undefined) return plain
  if (process.platform === 'linux') {
    const passing = makeAccount(binaries, ids, [
      'setpriv',
      `--reuid=${ids.uid}`,
      `--regid=${ids.gid}`,
      '--clear-groups',
      '--inh-caps=+dac_override',
      '--ambient-caps=+dac_override',
      // Without this, access(2), by which Postgres looks for its own program, ignores the capability.
      '--securebits=+no_setuid_fixup',
    ])
    const second = await probe(passing, binaries, dataDir)
    if (second === undefined) return passing
    failure = `${failure}; with setpriv: ${second}`
  }
  throw cannotRun(failure, dataDir)
}

function makeAccount(binaries: Binaries, ids: Ids | undefined, prefix: readonly string[]): Account {
  // Our own environment stays out: it may hold keys, and PG* variables that would change what Postgres does.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', ...binaries.env }
  return {
    spawn: (command, args, options) => {
      const [program = command, ...rest] = [...prefix, command, ...args]
      const as = ids && prefix.length === 0 ? ids : {}
      return spawn(program, rest, { ...options, ...as, env, cwd: '/' })
    },
    own: async (path) => {
      if (ids) await chownAll(path, ids)
    },
  }
}

/** Says why the account cannot run Postgres on `dataDir`; undefined when it can. */
async function probe(account: Account, binaries: Binaries, dataDir: string): Promise<string | undefined> {
  // `find_my_exec` in Postgres asks access(2) for its own program, so the probe does too (test -r, -x).
  const script =
    'test -w "$1" && test -r "$2" && test -x "$2" || { echo "no access to $1 or $2" >&2; exit 1; }; exec "$2" --version'
  const child = account.spawn('/bin/sh', ['-c', script, 'sh', dataDir, binaries.postgres], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const { code, stderr } = await finished(child)
  if (code === 0) return undefined
  // The shell says "not found" of a file that is there when its loader is missing: another C library.
  if (code === 127 && stderr.includes('not found')) {
    throw new ForebayError(
      'config_invalid',
      `The embedded Postgres needs glibc, which this system (Alpine?) does not have. ${useOwnDatabase}`,
    )
  }
  return stderr.trim() || `exit code ${code}`
}

/** Waits for `child`; answers its exit code (127 when it could not be started, 1 for a signal) and what it said on stderr. */
export async function finished(child: ChildProcess): Promise<{ code: number; stderr: string }> {
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve) => {
    child.once('error', (err) => resolve({ code: 126, stderr: err.message }))
    child.once('close', (code) => resolve({ code: code ?? 1, stderr }))
  })
}

async function unprivileged(): Promise<Ids | undefined> {
  const passwd = await readFile('/etc/passwd', 'utf8')
  const accounts = new Map(passwd.split('\n').map((line) => [line.split(':')[0], line.split(':')] as const))
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const [, , uid, gid] = accounts.get(name) ?? []
    if (uid !== undefined && gid !== undefined && Number(uid) !== 0) return { uid: Number(uid), gid: Number(gid) }
  }
  return undefined
}

async function chownAll(path: string, ids: Ids): Promise<void> {
  const found = await lstat(path)
  if (found.uid === ids.uid) return
  if (found.isDirectory()) for (const name of await readdir(path)) await chownAll(join(path, name), ids)
  // The folder after what is in it: one that is the account's already need not be walked.
  await lchown(path, ids.uid, ids.gid)
}

function cannotRun(reason: string, dataDir: string): ForebayError {
  const root =
    process.getuid?.() === 0 ? ' Postgres refuses to run as root, so an unprivileged account must reach both.' : ''
  return new ForebayError(
    'config_invalid',
    `The embedded Postgres cannot run with its data in ${dataDir}: ${reason}.${root} Set FOREBAY_DATA_DIR to a folder that account can reach. ${useOwnDatabase}`,
  )
}
