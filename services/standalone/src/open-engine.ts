import type { Config } from '@forebay/config'
import { type Clock, ForebayError, type Logger, type Running } from '@forebay/kernel'
import { endChild, ownProcess, startChild } from './child.ts'
import { findEngine, listModels } from './find-engine.ts'
import { freePort } from './free-port.ts'

type Env = Record<string, string | undefined>

export interface Engine extends Running {
  url: string
  /** Who answers there, for a person: "vLLM", "engine-sim (a simulator: its texts mean nothing)". */
  description: string
  simulated: boolean
  /** What it serves; empty while it does not answer. */
  models: readonly string[]
}

/** The engine of FOREBAY_ENGINE_URL, else one found on this machine, else engine-sim, started as a child process. */
export async function openEngine(options: {
  config: Config
  clock: Clock
  logger: Logger
  simArgs: readonly string[]
  env: Env
}): Promise<Engine> {
  const { config } = options
  const leave = { stop: async () => {} }
  if (config.engineUrl !== undefined) {
    const url = config.engineUrl.replace(/\/(v1\/?)?$/, '')
    const models = await listModels(url, config.engineApiKey)
    const description =
      models.length > 0 ? 'as FOREBAY_ENGINE_URL says' : 'as FOREBAY_ENGINE_URL says; it does not answer yet'
    return { ...leave, url, description, simulated: false, models }
  }
  const found = await findEngine({ notPort: config.port })
  if (found) {
    return {
      ...leave,
      url: found.url,
      description: `${found.kind}, found on this machine`,
      simulated: false,
      models: found.models,
    }
  }
  return startSimulator({ ...options, env: { ...options.env, FOREBAY_LOG_LEVEL: options.logger.level } })
}

/** Starts engine-sim as a child on a free port and waits until it answers. Throws `unavailable` when it does not. */
export async function startSimulator(options: { clock: Clock; simArgs: readonly string[]; env: Env }): Promise<Engine> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const args = ['--host', '127.0.0.1', '--port', String(port), ...options.simArgs]
  const child = startChild(ownProcess({ script: 'workers/engine-sim/src/main.ts', args, env: options.env }))
  const running = { stop: () => endChild(child, { clock: options.clock, graceMs: 5000 }) }
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 50) {
    if (child.exitCode !== null) break
    const models = await listModels(url)
    if (models.length > 0) {
      const description = 'engine-sim, because no engine was found: a simulator, whose texts mean nothing'
      return { ...running, url, description, simulated: true, models }
    }
    await options.clock.sleep(50)
  }
  await running.stop()
  throw new ForebayError(
    'unavailable',
    'engine-sim did not start within 30 s; its own log says why. Name a real engine with FOREBAY_ENGINE_URL.',
  )
}
