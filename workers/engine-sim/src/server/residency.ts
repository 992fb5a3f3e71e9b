import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import { parseBody } from './bodies.ts'
import { readJson, sendJson, sendText } from './http.ts'
import type { Sim } from './sim.ts'

/** How much memory the simulated engine takes, in GB, and how long a change takes, in simulated milliseconds. */
export interface ResidencySettings {
  /** Awake, without adapters. */
  readonly awakeGb: number
  /** Asleep at level 1: what a process keeps on the GPU. */
  readonly asleepGb: number
  /** Each adapter, while the engine is awake. */
  readonly adapterGb: number
  readonly adaptersMax: number
  readonly sleepMs: number
  readonly wakeMs: number
  readonly loadMs: number
}

export const residencyUsual: ResidencySettings = {
  ...{ awakeGb: 16, asleepGb: 1, adapterGb: 0.5, adaptersMax: 4 },
  ...{ sleepMs: 300, wakeMs: 1_000, loadMs: 100 },
}

/** Whether the engine sleeps, and its adapters. */
export interface Residency {
  /** From the start of a sleep to the end of a wake. */
  readonly asleep: boolean
  /** Names of the adapters that are loaded. */
  readonly adapters: ReadonlySet<string>
  /** GPU memory that it takes now; a waking engine takes all of it from the start. */
  readonly memoryGb: number
  /** While true, waking and loading end with status 500, after their time. */
  failing: boolean
  sleep(): Promise<void>
  /** Throws 500 while `failing`. */
  wake(): Promise<void>
  /** Throws 400 for an adapter that is there or one too many, 500 while `failing`. */
  load(name: string): Promise<void>
  /** Throws 404 for an adapter that is not there. */
  unload(name: string): void
}

/** Starts awake, without adapters. Changes are made one after the other. */
export function makeResidency(settings: ResidencySettings, pass: (ms: number) => Promise<void>): Residency {
  const adapters = new Set<string>()
  let asleep = false
  let takesMemory = true
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const next = last.then(change)
    last = next.catch(() => undefined)
    return next
  }
  const residency: Residency = {
    get asleep() {
      return asleep
    },
    adapters,
    get memoryGb() {
      return takesMemory ? settings.awakeGb + adapters.size * settings.adapterGb : settings.asleepGb
    },
    failing: false,
    sleep() {
      asleep = true
      return inTurn(async () => {
        if (!takesMemory) return
        await pass(settings.sleepMs)
        takesMemory = false
      })
    },
    wake: () =>
      inTurn(async () => {
        if (!asleep) return
        takesMemory = true
        await pass(settings.wakeMs)
        if (residency.failing) {
          takesMemory = false
          throw new ApiError(500, 'Injected failure: the weights could not be brought back.')
        }
        asleep = false
      }),
    load: (name) =>
      inTurn(async () => {
        if (adapters.has(name)) throw new ApiError(400, `The lora adapter '${name}' has already been loaded.`)
        if (adapters.size >= settings.adaptersMax) throw new ApiError(400, `No room: --max-loras ${adapters.size}.`)
        await pass(settings.loadMs)
        if (residency.failing) throw new ApiError(500, `Injected failure: no adapter '${name}' found.`)
        adapters.add(name)
      }),
    unload(name) {
      if (!adapters.delete(name)) throw new ApiError(404, `The lora adapter '${name}' cannot be found.`)
    },
  }
  return residency
}

const loadBody = z.object({ lora_name: z.string().min(1), lora_path: z.string().min(1) })
const unloadBody = z.object({ lora_name: z.string().min(1) })

/** vLLM's POST /sleep: what runs is aborted, as in its mode `abort`. Only level 1 is simulated. */
export async function answerSleep(sim: Sim, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const level = new URL(req.url ?? '/', 'http://sim').searchParams.get('level') ?? '1'
  if (level !== '1') throw new ApiError(400, `Level ${level} is not simulated: only 1 is.`, 'level')
  const slept = sim.residency.sleep()
  for (const end of [...sim.open]) end()
  await slept
  sendText(res, 200, 'text/plain', '')
}

/** vLLM's POST /wake_up. */
export async function answerWake(sim: Sim, _req: IncomingMessage, res: ServerResponse): Promise<void> {
  await sim.residency.wake()
  sendText(res, 200, 'text/plain', '')
}

/** vLLM's POST /v1/load_lora_adapter. */
export async function answerLoad(sim: Sim, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { lora_name: name } = parseBody(loadBody, await readJson(req))
  if (sim.settings.models.includes(name)) throw new ApiError(400, `'${name}' is the name of a model.`)
  await sim.residency.load(name)
  sendText(res, 200, 'text/plain', `Success: LoRA adapter '${name}' added successfully.`)
}

/** vLLM's POST /v1/unload_lora_adapter. */
export async function answerUnload(sim: Sim, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { lora_name: name } = parseBody(unloadBody, await readJson(req))
  sim.residency.unload(name)
  sendText(res, 200, 'text/plain', `Success: LoRA adapter '${name}' removed successfully.`)
}

/** What vLLM does not tell: memory and adapters, for tests and for people. */
export function answerResidency(sim: Sim, _req: IncomingMessage, res: ServerResponse): void {
  const { adapters, asleep, memoryGb } = sim.residency
  sendJson(res, 200, { asleep, adapters: [...adapters], memory_gb: memoryGb })
}

/** Throws 503 while the engine sleeps: a real one would hold the request for ever or crash. */
export function checkAwake(sim: Sim): void {
  if (sim.residency.asleep) throw new ApiError(503, 'The engine sleeps: POST /wake_up first.')
}
