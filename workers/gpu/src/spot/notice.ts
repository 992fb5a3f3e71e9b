/** The clouds whose notices are read. */
export const spotClouds = ['aws', 'gcp', 'azure'] as const
export type SpotCloud = (typeof spotClouds)[number]

/**
 * What a cloud said of the machine this worker is on. `end`: it will be taken away at `byMs` (epoch ms) at the latest.
 * `risk`: it may be soon, no time is given.
 */
export type SpotNotice =
  | { readonly kind: 'end'; readonly cloud: SpotCloud; readonly what: string; readonly byMs: number }
  | { readonly kind: 'risk'; readonly cloud: SpotCloud; readonly what: string; readonly atMs: number }

/** Reads one cloud's notices. */
export interface SpotSource {
  readonly cloud: SpotCloud
  /** Pause between two looks. */
  readonly pollMs: number
  /** What is announced now; the most pressing if several are. Rejects when the metadata service gives no answer. */
  look(signal: AbortSignal): Promise<SpotNotice | undefined>
  /** Tells the cloud that the machine may go now, where it can be told. Rejects as `look`. */
  acknowledge(signal: AbortSignal): Promise<void>
}
