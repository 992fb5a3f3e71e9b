import type { Config } from '@forebay/config'
import type { Clock, Logger, Running } from '@forebay/kernel'
import type { Worker } from '../worker.ts'
import { chooseSpotSource } from './choose-source.ts'
import { type SpotCloud, type SpotNotice, type SpotSource, spotClouds } from './notice.ts'
import { SpotWatcher } from './spot-watcher.ts'

const acknowledgeMs = 3_000

/** What watchSpot needs. */
export interface WatchSpotOptions {
  config: Pick<Config, 'spot' | 'spotUrl' | 'spotRebalance' | 'drainMs'>
  /** The cloud that the pool is said to be on, as the configuration file has it. */
  poolCloud: string | undefined
  worker: Pick<Worker, 'leaveBy'>
  clock: Clock
  logger: Logger
  /** Ends the process; called as soon as the worker drains. */
  end: () => void
}

/**
 * Watches for the notice that the cloud takes this machine away; at it the worker finishes what it can by then and the
 * process ends. `stop` comes after the worker's own: the cloud is told then that nothing holds the machine any more.
 */
export function watchSpot(options: WatchSpotOptions): Running {
  const { clock, config, logger, worker } = options
  const cloud = config.spot ?? spotClouds.find((known) => known === options.poolCloud?.toLowerCase()) ?? 'off'
  if (cloud === 'off') return { stop: async () => {} }
  const startedMs = clock.now()
  const stopping = new AbortController()
  let source: (SpotSource & Running) | undefined
  let watcher: SpotWatcher | undefined
  let ending = false

  const leave = (byMs: number) => {
    ending = true
    void worker.leaveBy(byMs)
    options.end()
  }
  const onNotice = (notice: SpotNotice) => {
    const { kind, what } = notice
    if (kind === 'end') {
      logger.warn({ cloud: notice.cloud, what, inMs: notice.byMs - clock.now() }, 'the cloud takes this machine away')
      leave(notice.byMs)
      return
    }
    const isNews = notice.atMs >= startedMs
    logger.warn({ cloud: notice.cloud, what }, 'the cloud may take this machine away soon')
    // A worker that left for it and was started again on the same machine works on until the notice itself.
    if (config.spotRebalance === 'drain' && isNews) leave(clock.now() + config.drainMs)
  }
  const begin = async (chosen: SpotCloud | 'auto') => {
    source = await chooseSpotSource({ cloud: chosen, url: config.spotUrl, clock, signal: stopping.signal })
    if (!source) {
      if (!stopping.signal.aborted) logger.info({}, 'no metadata service of a cloud answers: no spot notices here')
      return
    }
    if (stopping.signal.aborted) return
    logger.info({ cloud: source.cloud }, 'watching for spot notices')
    watcher = new SpotWatcher({ source, clock, logger, onNotice })
    watcher.start()
  }
  const begun = begin(cloud)

  let stopped: Promise<void> | undefined
  const stop = async () => {
    stopping.abort()
    await begun
    await watcher?.stop()
    // Best effort: without it the machine is only taken a little later.
    if (ending) await source?.acknowledge(AbortSignal.timeout(acknowledgeMs)).catch(() => undefined)
    await source?.stop()
  }
  return { stop: () => (stopped ??= stop()) }
}
