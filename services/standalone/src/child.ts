import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Clock } from '@forebay/kernel'
import { commandOf } from '@forebay/launch'

export interface Command {
  command: string
  args: readonly string[]
  env: Record<string, string | undefined>
}

/** The command that runs one of Forebay's own processes; `script` is its path in the repository. */
export function ownProcess(options: {
  script: string
  args?: readonly string[]
  env: Record<string, string | undefined>
}): Command {
  return { ...commandOf(options.script, options.args), env: options.env }
}

/**
 * Starts a child whose log goes to this process's stderr. The channel between them closes when this process dies,
 * however it dies, and Forebay's processes then stop: no child is left behind.
 */
export function startChild({ command, args, env }: Command): ChildProcess {
  return spawn(command, args, { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
}

/** Ends a child: SIGTERM, then SIGKILL once `graceMs` has passed. Resolves when it is gone. */
export async function endChild(child: ChildProcess, options: { clock: Clock; graceMs: number }): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const cancel = options.clock.after(options.graceMs, () => child.kill('SIGKILL'))
  await exited
  cancel()
}
