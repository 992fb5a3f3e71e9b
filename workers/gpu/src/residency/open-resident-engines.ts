import type { Clock, Logger } from '@forebay/kernel'
import { type EngineClient, openEngineClient } from '../engine/engine-client.ts'
import { ResidencyManager, type ResidencyOptions, type ResidentEngine } from './residency-manager.ts'
import { makeResidentClient } from './resident-client.ts'

/** Engines that share memory. */
export interface Residents {
  readonly budgetGb: number
  readonly engines: readonly ResidentEngine[]
}

/** They as one client, and who keeps them within their memory. */
export interface ResidentEngines {
  readonly client: EngineClient
  readonly manager: ResidencyManager
}

/** Opens the engines as one client, with the manager that keeps them within their memory; undefined for none. */
export function openResidentEngines(
  options: Omit<ResidencyOptions, 'engines' | 'budgetGb'> & {
    residents: Residents | undefined
    apiKey: string | undefined
    /** To each engine. */
    connections: number
    idleMs: number
    clock: Clock
    logger: Logger
  },
): ResidentEngines | undefined {
  const { apiKey, clock, connections, idleMs, residents } = options
  if (!residents) return undefined
  const parts = residents.engines.map((engine) => ({
    ...engine,
    client: openEngineClient({ url: engine.url, apiKey, connections, idleMs, clock }),
  }))
  const manager = new ResidencyManager({ ...options, engines: parts, budgetGb: residents.budgetGb })
  const client = makeResidentClient({
    parts,
    mayRun: (model) => manager.mayRun(model),
    onLost: (model) => manager.lost(model),
  })
  return { client, manager }
}
