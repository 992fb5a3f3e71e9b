import { backoffMs, type Clock, describeError, ForebayError, type Logger, type Running } from '@forebay/kernel'
import type { EngineClient } from '../engine/engine-client.ts'
import type { WorkerMetrics } from '../metrics.ts'
import { decideResidency, type ResidencyPace, type Resident } from './decide-residency.ts'
import { findResident, loadAdapter, putToSleep, unloadAdapter, wakeUp } from './resident-engine.ts'

/** An engine that may sleep, with its adapters. */
export interface ResidentEngine {
  readonly model: string
  readonly url: string
  readonly awakeGb: number
  readonly asleepGb: number
  readonly adapters: readonly { readonly name: string; readonly source: string; readonly memoryGb: number }[]
}

/** What a model has to do here. */
export interface ModelWork {
  inFlight: number
  waiting: number
  waitingLive: number
  /** Since when the oldest waits (epoch ms). */
  waitingSinceMs: number | undefined
}

interface Slot {
  readonly name: string
  readonly base: string | undefined
  readonly source: string
  readonly engine: ResidentEngine
  readonly client: Pick<EngineClient, 'ask'>
  readonly inBytes: number
  readonly outBytes: number
  /** `lost`: its engine does not answer. */
  state: Resident['state'] | 'lost'
  /** A call to its engine is under way. */
  busy: boolean
  cameMs: number
  lastUsedMs: number
  notBeforeMs: number
  failures: number
}

/** What a ResidencyManager needs. */
export interface ResidencyOptions {
  engines: readonly (ResidentEngine & { client: Pick<EngineClient, 'ask'> })[]
  budgetGb: number
  pace: ResidencyPace
  clock: Clock
  logger: Logger
  metrics: Pick<WorkerMetrics, 'resident' | 'residencyChanges' | 'residencySeconds' | 'residentBytes'>
  work: () => ReadonlyMap<string, ModelWork>
  /** Which models take requests has changed. */
  onChange: () => void
  /** These cannot be served for now: their jobs are to be given back. */
  onFailed: (models: readonly string[], why: string) => void
}

const lookMs = 200
const retryWait = { firstMs: 2_000, maxMs: 60_000 }
const bytesPerGb = 1e9

/**
 * Keeps in memory the models that work waits for, within a budget: wakes and loads them, and puts to sleep or unloads
 * what nobody needs. An engine is never put to sleep while anything of it is in flight. What fails is tried again ever
 * later, and costs no other model.
 *
 *   out ──wake, load──▶ coming ──▶ in ──given nothing more──▶ leaving ──nothing in flight: sleep, unload──▶ out
 *   any ──no answer──▶ lost ──answers──▶ as it is found
 */
export class ResidencyManager implements Running {
  readonly #options: ResidencyOptions
  readonly #slots: Map<string, Slot>
  readonly #changes = new Set<Promise<void>>()
  #stopLooking: (() => void) | undefined
  #stopped = false

  constructor(options: ResidencyOptions) {
    this.#options = options
    const fresh = { state: 'lost' as const, busy: false, cameMs: 0, lastUsedMs: 0, notBeforeMs: 0, failures: 0 }
    const slots = options.engines.flatMap((engine): Slot[] => {
      const { adapters, asleepGb, awakeGb, client, model } = engine
      const common = { ...fresh, engine, client, source: '' }
      return [
        { ...common, name: model, base: undefined, inBytes: awakeGb * bytesPerGb, outBytes: asleepGb * bytesPerGb },
        ...adapters.map(({ memoryGb, name, source }) => ({
          ...{ ...common, name, source, base: model },
          ...{ inBytes: memoryGb * bytesPerGb, outBytes: 0 },
        })),
      ]
    })
    this.#slots = new Map(slots.map((slot) => [slot.name, slot]))
    for (const { name } of slots) options.metrics.resident.set({ model: name }, 0)
  }

  /** Starts looking. Safe to repeat. */
  start(): void {
    if (this.#stopLooking || this.#stopped) return
    this.#stopLooking = this.#options.clock.every(lookMs, () => this.#look())
    this.#look()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopLooking?.()
    this.#stopLooking = undefined
    await Promise.all(this.#changes)
  }

  /** Whether requests of a model may go to its engine now. One that is not managed here may. */
  mayRun(model: string): boolean {
    const slot = this.#slots.get(model)
    return slot === undefined || (slot.state === 'in' && this.#baseOf(slot)?.state !== 'out' && !this.#baseGoes(slot))
  }

  /** Whether work for a model is taken: its engine answers, and what failed last is due again. */
  serves(model: string): boolean {
    const slot = this.#slots.get(model)
    if (!slot) return true
    const nowMs = this.#options.clock.now()
    return [slot, this.#baseOf(slot)].every((part) => !part || (part.state !== 'lost' && part.notBeforeMs <= nowMs))
  }

  /** A request did not reach the engine of this model: nothing is sent there until it answers. */
  lost(model: string): void {
    const slot = this.#slots.get(model)
    if (slot && slot.state !== 'lost') this.#lose(this.#baseOf(slot) ?? slot, 'a request did not reach it')
  }

  #baseOf(slot: Slot): Slot | undefined {
    return slot.base === undefined ? undefined : this.#slots.get(slot.base)
  }

  #baseGoes(slot: Slot): boolean {
    const base = this.#baseOf(slot)
    return base !== undefined && base.state !== 'in'
  }

  #ofEngine(slot: Slot): Slot[] {
    return [...this.#slots.values()].filter(({ engine }) => engine === slot.engine)
  }

  #look(): void {
    const { budgetGb, clock, pace } = this.#options
    const nowMs = clock.now()
    const work = this.#options.work()
    for (const slot of this.#slots.values()) {
      if ((work.get(slot.name)?.inFlight ?? 0) > 0) slot.lastUsedMs = nowMs
      if (slot.state === 'lost' && !slot.base && !slot.busy && slot.notBeforeMs <= nowMs) this.#find(slot)
    }
    const known = [...this.#slots.values()].filter(({ state }) => state !== 'lost')
    const residents = known.map((slot) => residentOf(slot, work.get(slot.name)))
    const { bring, release } = decideResidency({ residents, budgetBytes: budgetGb * bytesPerGb, nowMs, pace })
    for (const name of release) this.#close(name)
    for (const slot of known) if (slot.state === 'leaving' && !slot.busy) this.#letGo(slot, work)
    for (const name of bring) this.#bring(name)
    const { metrics } = this.#options
    for (const { name } of this.#slots.values()) metrics.resident.set({ model: name }, this.mayRun(name) ? 1 : 0)
    metrics.residentBytes.set(residents.reduce((sum, each) => sum + takes(each, residents), 0))
  }

  #close(name: string): void {
    const slot = this.#slots.get(name)
    if (slot?.state !== 'in') return
    slot.state = 'leaving'
    this.#options.onChange()
  }

  #letGo(slot: Slot, work: ReadonlyMap<string, ModelWork>): void {
    const all = slot.base === undefined ? this.#ofEngine(slot) : [slot]
    if (all.some(({ busy, name }) => busy || (work.get(name)?.inFlight ?? 0) > 0)) return
    const isEngine = slot.base === undefined
    this.#change(slot, isEngine ? 'sleep' : 'unload', async () => {
      await (isEngine ? putToSleep(slot.client) : unloadAdapter(slot.client, slot.name))
      slot.state = 'out'
    })
  }

  #bring(name: string): void {
    const slot = this.#slots.get(name)
    if (slot?.state !== 'out' || slot.busy) return
    slot.state = 'coming'
    const isEngine = slot.base === undefined
    this.#change(slot, isEngine ? 'wake' : 'load', async () => {
      await (isEngine ? wakeUp(slot.client) : loadAdapter(slot.client, slot.name, slot.source))
      slot.state = 'in'
      slot.cameMs = this.#options.clock.now()
      this.#options.onChange()
    })
  }

  #change(slot: Slot, kind: 'wake' | 'sleep' | 'load' | 'unload', run: () => Promise<void>): void {
    const { clock, logger, metrics } = this.#options
    const fields = { model: slot.name, change: kind }
    const startedMs = clock.now()
    slot.busy = true
    const done = run()
      .then(
        () => {
          slot.failures = 0
          const tookMs = clock.now() - startedMs
          metrics.residencySeconds.observe({ change: kind }, tookMs / 1000)
          metrics.residencyChanges.inc({ ...fields, outcome: 'done' })
          logger.info({ ...fields, tookMs }, 'model changed')
        },
        (err: unknown) => {
          metrics.residencyChanges.inc({ ...fields, outcome: 'failed' })
          this.#lose(slot, `${kind} failed: ${describeError(err)}`)
        },
      )
      .finally(() => {
        slot.busy = false
        this.#changes.delete(done)
        if (!this.#stopped) this.#look()
      })
    this.#changes.add(done)
  }

  /** It is as nobody knows until it was asked again; an adapter that failed leaves its engine's other models alone. */
  #lose(slot: Slot, why: string): void {
    const { clock, logger, onChange, onFailed } = this.#options
    const retryMs = backoffMs(++slot.failures, retryWait)
    const gone = slot.base === undefined ? this.#ofEngine(slot) : [slot]
    for (const each of gone) each.state = slot.base === undefined ? 'lost' : 'out'
    slot.notBeforeMs = clock.now() + retryMs
    const models = gone.map(({ name }) => name)
    logger.warn({ models, engineUrl: slot.engine.url, why, retryMs }, 'model cannot be served for now')
    onChange()
    onFailed(models, why)
  }

  #find(slot: Slot): void {
    const { clock, logger, onChange } = this.#options
    slot.busy = true
    const find = async () => {
      try {
        const { asleep, models } = await findResident(slot.client)
        if (!models.includes(slot.name)) {
          throw new ForebayError('unavailable', `It serves ${models.join(', ') || 'nothing'}, not ${slot.name}.`)
        }
        const nowMs = clock.now()
        for (const each of this.#ofEngine(slot)) {
          const isIn = each.base === undefined ? !asleep : models.includes(each.name)
          Object.assign(each, { state: isIn ? 'in' : 'out', cameMs: nowMs, lastUsedMs: nowMs })
        }
        logger.info({ model: slot.name, asleep }, 'engine found')
        onChange()
      } catch (err) {
        this.#lose(slot, describeError(err))
      }
    }
    const done = find().finally(() => {
      slot.busy = false
      this.#changes.delete(done)
      if (!this.#stopped) this.#look()
    })
    this.#changes.add(done)
  }
}

function residentOf(slot: Slot, work: ModelWork | undefined): Resident {
  const { base, cameMs, inBytes, lastUsedMs, name, notBeforeMs, outBytes, state } = slot
  return {
    ...{ name, base, inBytes, outBytes, lastUsedMs, cameMs, notBeforeMs },
    ...{ inFlight: 0, waiting: 0, waitingLive: 0, waitingSinceMs: undefined, ...work },
    state: state === 'lost' ? 'out' : state,
  }
}

function takes({ base, inBytes, outBytes, state }: Resident, all: readonly Resident[]): number {
  if (state === 'out') return outBytes
  return all.some((each) => each.name === base && each.state === 'out') ? 0 : inBytes
}
