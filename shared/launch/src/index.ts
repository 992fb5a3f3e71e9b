import { fileURLToPath } from 'node:url'

const launcher = fileURLToPath(new URL('../run.mjs', import.meta.url))

/** The command that runs one of Forebay's own processes; `script` is its path in the repository, or an absolute one. */
export function commandOf(script: string, args: readonly string[] = []): { command: string; args: readonly string[] } {
  return { command: process.execPath, args: [launcher, script, ...args] }
}
