/** How much each part of a pool's score counts; any numbers from 0 up, not all 0. */
export interface Weights {
  readonly latency: number
  readonly cost: number
  readonly load: number
  readonly proximity: number
}

/** The weights when none are configured. */
export const weightsUsual: Weights = { latency: 0.4, cost: 0.3, load: 0.2, proximity: 0.1 }

/** A pool as the router sees it, at one moment and for one model. */
export interface Candidate {
  readonly name: string
  /** Tags of where data may be. */
  readonly residency: readonly string[]
  /** Why nothing new goes there, to follow its name: drained, its circuit breaker open, no worker; undefined when something may. */
  readonly shut: string | undefined
  /** Pools of a tier are used only when those of every lower one cannot be. */
  readonly tier: number
  /** A managed API: used only when no pool of one's own can be. */
  readonly managed: boolean
  /** What may still be spent there today; undefined: no cap. In any unit, for only its sign counts. */
  readonly spendLeft: number | undefined
  /** Expected time until an answer begins, in milliseconds; undefined: not measured lately. */
  readonly latencyMs: number | undefined
  /** What an hour of one replica costs; undefined: not said. */
  readonly costPerHour: number | undefined
  /** Its share of seats taken; from 1 on it is full. */
  readonly load: number
  /** True: nobody there has the model in memory now; it is woken or loaded for a request. Not given: somebody has. */
  readonly asleep?: boolean | undefined
  /** 0 (far away) to 1 (here). */
  readonly proximity: number
}

/** What makes a request leave a tier: `full`, that it is full or down; `down`, only that it is down. */
export type Spill = 'full' | 'down'
