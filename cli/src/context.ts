import { type LoadedConfig, loadConfig } from '@forebay/config'
import type { Clock } from '@forebay/kernel'
import { type ApiClient, makeApiClient } from './api-client.ts'
import { exitCodes, Failure, usageFailure } from './failure.ts'
import { makeOutput, type Output, type Sink } from './output.ts'

/** What `forebay` itself runs on. */
export interface Surroundings {
  env: Record<string, string | undefined>
  stdout: Sink
  stderr: Sink
  clock: Clock
  /** The folder that relative paths start from. */
  cwd: string
  /** Aborts on Ctrl-C, with a Failure `interrupted` as its reason. */
  interrupted: AbortSignal
}

/** What a command works with. */
export interface Context {
  out: Output
  clock: Clock
  cwd: string
  interrupted: AbortSignal
  settings(): LoadedConfig
  /** The API; a Failure when no key is set. */
  api(): ApiClient
  close(): Promise<void>
}

/** The options that every command has. */
export interface GlobalOptions {
  url?: string
  apiKey?: string
  json?: boolean
}

/** Makes the context of one command. Settings are read when they are first asked for. */
export function makeContext(surroundings: Surroundings, options: GlobalOptions): Context {
  const { env, stdout, stderr, clock, cwd, interrupted } = surroundings
  let api: ApiClient | undefined
  const settings = () => {
    try {
      return loadConfig({
        ...env,
        ...(options.url === undefined ? {} : { FOREBAY_URL: options.url }),
        ...(options.apiKey === undefined ? {} : { FOREBAY_API_KEY: options.apiKey }),
      })
    } catch (err) {
      throw usageFailure(err instanceof Error ? err.message : String(err))
    }
  }
  return {
    out: makeOutput({ stdout, stderr, json: options.json === true }),
    clock,
    cwd,
    interrupted,
    settings,
    api: () => {
      const { config } = settings()
      if (config.apiKey === undefined) {
        throw new Failure(exitCodes.auth, 'No API key is set. Set FOREBAY_API_KEY or give --api-key.')
      }
      api ??= makeApiClient({ url: config.url, apiKey: config.apiKey, clock, signal: interrupted })
      return api
    },
    close: async () => api?.close(),
  }
}
