import { describeError } from '@forebay/kernel'
import { loadConfig } from './load-config.ts'
import type { Config } from './settings.ts'

/** The settings of a process, for its main: a fault is printed for a person to read, and the process exits with 1. */
export function configOrExit(env: Readonly<Record<string, string | undefined>>): Config {
  try {
    return loadConfig(env).config
  } catch (err) {
    process.stderr.write(`${describeError(err)}\n`)
    process.exit(1)
  }
}
