import type { EngineSample } from '@forebay/batcher'
import { backoffMs, type Clock, describeError, type Logger, type Running } from '@forebay/kernel'
import { detectEngine, type EngineProfile } from './detect-engine.ts'
import { type EngineClient, isRefused } from './engine-client.ts'
import { type EngineReading, readEngineMetrics, readSlots } from './engine-metrics.ts'

const busyPollMs = 250
const idlePollMs = 2_000
const strikesMax = 2
// Models come and go while an engine runs.
const profileMaxAgeMs = 30_000

/** How the engine is. `down` has since when (epoch ms) and why; a wedged engine answers but makes no token. */
export type EngineState =
  | { readonly up: true; readonly profile: EngineProfile }
  | { readonly up: false; readonly sinceMs: number; readonly why: 'unreachable' | 'denied' | 'silent' | 'wedged' }

/** What an EngineMonitor needs. */
export interface EngineMonitorOptions {
  client: Pick<EngineClient, 'ask'>
  clock: Clock
  logger: Logger
  /** Requests in flight now. */
  inFlight: () => number
  /** An engine with work that makes no token for so long, and none for a canary, is wedged. */
  stallMs: number
  onSample: (sample: EngineSample) => void
  onChange: (state: EngineState) => void
}

/**
 * Watches one engine: finds out what it is, polls its metrics, and judges it by token progress, never by /health alone.
 *
 *   down ──detected (wedged: and a canary token made)──▶ up ──refused, silent, denied, no progress──▶ down
 */
export class EngineMonitor implements Running {
  readonly #options: EngineMonitorOptions
  readonly #stopping = new AbortController()
  #state: EngineState
  #loop: Promise<void> | undefined
  #wake: () => void = () => {}
  #strikes = 0
  #failures = 0
  #progress = { seen: '', atMs: 0 }
  #healthAtMs = 0
  #profileAtMs = 0
  #lastModel: string | undefined

  constructor(options: EngineMonitorOptions) {
    this.#options = options
    this.#state = { up: false, sinceMs: options.clock.now(), why: 'unreachable' }
  }

  get state(): EngineState {
    return this.#state
  }

  /** Starts watching. Safe to repeat. */
  start(): void {
    this.#loop ??= this.#run()
  }

  /** A request found the engine unreachable, or its key refused: nothing is sent until the engine was asked again. */
  report(why: 'unreachable' | 'denied'): void {
    this.#fall(why)
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    await this.#loop
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (this.#state.up) await this.#check()
      else await this.#revive(this.#state.why)
      await this.#pause()
    }
  }

  async #revive(why: 'unreachable' | 'denied' | 'silent' | 'wedged'): Promise<void> {
    const { client, clock, logger } = this.#options
    try {
      const profile = await detectEngine(client)
      await this.#checkHealth()
      if (why === 'wedged') await this.#canary()
      this.#failures = 0
      this.#strikes = 0
      this.#progress = { seen: '', atMs: clock.now() }
      this.#lastModel = profile.models[0]?.id
      this.#profileAtMs = clock.now()
      logger.info({ engine: profile.kind, models: profile.models.map((model) => model.id) }, 'engine is up')
      this.#change({ up: true, profile })
      await this.#check()
    } catch (err) {
      this.#failures++
      if (this.#failures % 20 === 1) logger.warn({ why, error: describeError(err) }, 'engine is down')
    }
  }

  async #check(): Promise<void> {
    const { clock, onSample } = this.#options
    try {
      if (clock.now() - this.#healthAtMs >= idlePollMs) {
        await this.#checkHealth()
        // Only now: what failed is asked again at the next look.
        this.#healthAtMs = clock.now()
      }
      if (clock.now() - this.#profileAtMs >= profileMaxAgeMs) await this.#refreshProfile()
      const reading = await this.#read()
      this.#strikes = 0
      if (!reading) return
      onSample(reading.sample)
      await this.#judgeProgress(reading)
    } catch (err) {
      this.#strikes++
      if (isRefused(err)) this.#fall('unreachable')
      else if (this.#strikes >= strikesMax) this.#fall('silent')
    }
  }

  async #refreshProfile(): Promise<void> {
    this.#profileAtMs = this.#options.clock.now()
    const profile = await detectEngine(this.#options.client)
    if (this.#state.up && JSON.stringify(this.#state.profile) !== JSON.stringify(profile)) {
      this.#change({ up: true, profile })
    }
  }

  async #checkHealth(): Promise<void> {
    const health = await this.#options.client.ask('/health')
    if (health.status >= 500) throw new Error(`/health answered ${health.status}`)
  }

  async #read(): Promise<EngineReading | undefined> {
    const { client, clock } = this.#options
    const metrics = await client.ask('/metrics')
    const reading = metrics.status === 200 ? readEngineMetrics(metrics.text, clock.now()) : undefined
    if (reading || !this.#state.up || this.#state.profile.kind !== 'llamacpp') return reading
    const slots = await client.ask('/slots')
    return slots.status === 200 ? readSlots(slots.text, clock.now()) : undefined
  }

  async #judgeProgress({ progress, sample }: EngineReading): Promise<void> {
    const { clock, inFlight, stallMs } = this.#options
    if (progress !== this.#progress.seen || inFlight() === 0) this.#progress = { seen: progress, atMs: sample.atMs }
    if (sample.atMs - this.#progress.atMs < stallMs / 2) return
    // It may be at a very long prompt; only one that makes no token for anybody is wedged.
    const alive = await this.#canary(stallMs / 3).then(
      () => true,
      () => false,
    )
    if (alive) this.#progress.atMs = clock.now()
    else this.#fall('wedged')
  }

  /** One token, made for nobody: the proof that an engine works. Any answer but a failure will do. */
  async #canary(timeoutMs = 10_000): Promise<void> {
    const body = { model: this.#lastModel ?? '', messages: [{ role: 'user', content: '.' }], max_tokens: 1 }
    const reply = await this.#options.client.ask('/v1/chat/completions', { timeoutMs, body })
    if (reply.status >= 500) throw new Error(`the canary got ${reply.status}`)
  }

  #fall(why: 'unreachable' | 'denied' | 'silent' | 'wedged'): void {
    if (!this.#state.up) return
    this.#options.logger.warn({ why }, 'engine went down')
    this.#change({ up: false, sinceMs: this.#options.clock.now(), why })
  }

  #change(state: EngineState): void {
    this.#state = state
    this.#options.onChange(state)
  }

  async #pause(): Promise<void> {
    const { clock, inFlight } = this.#options
    const pauseMs = !this.#state.up
      ? backoffMs(Math.max(1, this.#failures), { firstMs: 200, maxMs: 1_000 })
      : inFlight() > 0
        ? busyPollMs
        : idlePollMs
    if (this.#stopping.signal.aborted) return
    const waiting = new AbortController()
    this.#wake = () => waiting.abort()
    await clock.sleep(pauseMs, waiting.signal).catch(() => undefined)
  }
}
