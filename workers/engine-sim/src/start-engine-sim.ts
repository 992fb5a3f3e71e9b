import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ForebayError, type Running } from '@forebay/kernel'
import { ApiError } from './server/api-error.ts'
import { makeEngine } from './server/engine.ts'
import { type FailureRates, makeFailures } from './server/failures.ts'
import { sendError } from './server/http.ts'
import { makeMetrics } from './server/metrics.ts'
import { makeResidency } from './server/residency.ts'
import { route } from './server/routes.ts'
import { type EngineSimOptions, resolveSettings } from './server/settings.ts'
import type { Sim } from './server/sim.ts'
import { makeSimLog, type SimLog } from './server/sim-log.ts'

/** A running simulator. */
export interface EngineSim extends Running {
  /** `http://host:port`, no slash at the end. */
  readonly url: string
  readonly port: number
  /** Its own account of what it generated. */
  readonly log: SimLog
  readonly running: number
  readonly waiting: number
  readonly asleep: boolean
  /** GPU memory that it would take now, in GB. */
  readonly memoryGb: number
  /** While true, waking and loading an adapter fail with status 500. */
  setLoadsFail(fail: boolean): void
  /** Replaces the rates of injected failures. */
  setFailures(rates: FailureRates): void
  /** While wedged it accepts requests and makes no progress; /health stays fine. */
  setWedged(wedged: boolean): void
  /** Dies as a killed process does: every socket is reset and the port closed. */
  crash(): void
}

/** How long `stop` waits for the last answers to be taken. */
const stopGraceMs = 1000

/**
 * Starts a simulator of vLLM's HTTP server. `stop` ends what runs with finish reason `abort`, as vLLM does on SIGTERM.
 * Throws `config_invalid` for options that cannot work, and the listen error when the port is taken.
 */
export async function startEngineSim(options: EngineSimOptions = {}): Promise<EngineSim> {
  const settings = resolveSettings(options)
  const { clock, logger } = settings
  const host = options.host ?? '127.0.0.1'
  let serial = 0
  const sim: Sim = {
    settings,
    engine: makeEngine(settings),
    metrics: makeMetrics(),
    log: makeSimLog(settings),
    failures: makeFailures({ seed: settings.seed, rates: options.failures ?? {} }),
    residency: makeResidency(settings.residency, (ms) => clock.sleep(ms / settings.speed)),
    open: new Set(),
    stopping: false,
    nextSerial: () => serial++,
    crash,
  }
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (req, res) => {
    route(sim, req, res).catch((err: unknown) => {
      if (!(err instanceof ApiError) && !req.destroyed) logger.error({ err, path: req.url }, 'request failed')
      sendError(res, err)
    })
  })

  let crashed = false
  function crash(): void {
    if (crashed) return
    crashed = true
    logger.warn({ port }, 'crashing')
    sim.engine.stop()
    server.close()
    server.closeAllConnections()
    options.onCrash?.()
  }

  async function stop(): Promise<void> {
    sim.stopping = true
    for (const end of [...sim.open]) end()
    sim.engine.stop()
    const cancel = clock.after(stopGraceMs, () => server.closeAllConnections())
    await close(server)
    cancel()
  }

  await listen(server, options.port ?? 0, host)
  const { port } = server.address() as AddressInfo
  logger.info({ host, port, profile: settings.profile.name, models: settings.models }, 'engine-sim listening')
  let stopped: Promise<void> | undefined
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    log: sim.log,
    get running() {
      return sim.engine.running
    },
    get waiting() {
      return sim.engine.waiting
    },
    get asleep() {
      return sim.residency.asleep
    },
    get memoryGb() {
      return sim.residency.memoryGb
    },
    setLoadsFail(fail) {
      sim.residency.failing = fail
    },
    setFailures(rates) {
      sim.failures.rates = rates
    },
    setWedged(wedged) {
      sim.engine.wedged = wedged
    },
    crash,
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new ForebayError('config_invalid', `Cannot listen on ${host}:${port}: ${cause.message}`, { cause })),
    )
    server.listen(port, host, resolve)
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve()
    server.close(() => resolve())
    server.closeIdleConnections()
  })
}
