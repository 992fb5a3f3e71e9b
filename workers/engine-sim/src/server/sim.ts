import type { Engine } from './engine.ts'
import type { Failures } from './failures.ts'
import type { SimMetrics } from './metrics.ts'
import type { Residency } from './residency.ts'
import type { Settings } from './settings.ts'
import type { SimLog } from './sim-log.ts'

/** What the routes share: one simulated engine and its accounts. */
export interface Sim {
  readonly settings: Settings
  readonly engine: Engine
  readonly metrics: SimMetrics
  readonly log: SimLog
  readonly failures: Failures
  readonly residency: Residency
  /** Ends each generation under way as an engine told to stop does: finish reason `abort`. */
  readonly open: Set<() => void>
  /** True once `stop` was called: what still arrives ends as `abort`. */
  stopping: boolean
  /** Numbers the requests, for ids and for texts that must differ. */
  nextSerial(): number
  /** Dies as a killed process does. */
  crash(): void
}
