import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '@forebay/kernel'

/** What a running Postgres says of itself in `postmaster.pid`. */
export interface Postmaster {
  readonly pid: number
  readonly port: number
  readonly ready: boolean
}

/** True when a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return err instanceof Error && 'code' in err && err.code === 'EPERM'
  }
}

/**
 * The Postgres that runs on the data folder `data`, ours or left behind by a process that was killed; undefined when
 * none does. `port` is 0 until Postgres has written it.
 */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const lines = await readPidFile(data)
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined
  const command = await commandLine(pid)
  if (command && !command.includes(data)) return undefined
  return { pid, port: Number(lines[3] ?? 0), ready: lines[7]?.trim() === 'ready' }
}

/**
 * Removes `postmaster.pid` when the id in it now belongs to another program, as happens when a container starts again:
 * Postgres, which sees only that the id is alive, would refuse to start.
 */
export async function removeRecycledPidFile(data: string): Promise<void> {
  const pid = Number((await readPidFile(data))[0])
  if (Number.isInteger(pid) && pid > 0 && isAlive(pid)) {
    const command = await commandLine(pid)
    if (command && !command[0]?.endsWith('postgres')) await rm(join(data, 'postmaster.pid'), { force: true })
  }
}

/**
 * Stops the Postgres with this id: fast shutdown, after 15 s an immediate one, after 20 s a kill (the next start then
 * recovers from the log). Returns when it is gone.
 */
export async function stopPostmaster(options: { pid: number; clock: Clock }): Promise<void> {
  const { pid, clock } = options
  // Without a command line it is a zombie, which may linger when the parent of an orphan does not reap.
  const gone = async () => !isAlive(pid) || (await commandLine(pid))?.length === 0
  for (const [signal, waitMs] of [
    ['SIGINT', 15_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    if (await gone()) return
    send(pid, signal)
    const deadline = clock.now() + waitMs
    while (clock.now() < deadline) {
      if (await gone()) return
      await clock.sleep(10)
    }
  }
}

/** Sends a signal; a process already gone is not an error. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (err) {
    if (!(err instanceof Error && 'code' in err && err.code === 'ESRCH')) throw err
  }
}

async function readPidFile(data: string): Promise<string[]> {
  try {
    return (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return []
    throw err
  }
}

/** A process's command line; empty for a zombie; undefined where there is no /proc (macOS) and the id alone must do. */
async function commandLine(pid: number): Promise<string[] | undefined> {
  if (process.platform !== 'linux') return undefined
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return line.split('\0').filter((word) => word !== '')
}
