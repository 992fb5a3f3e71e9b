import type { Running } from '@forebay/kernel'

/** What is counted, each in windows of its own length. */
export type Window = 'requests' | 'tokens' | 'batches'

/** What is asked of a key's present window. */
export interface Ask {
  /** Granted for all windows of a call, or for none of them. */
  need: number
  /** Granted beyond that, as far as it is no more than an eighth of what is then left; 0 when the need is not granted. */
  spare: number
  /** Counted in any case; negative: given back, unless the window that it is of has ended. */
  owed: number
  /** The window that is given back to, as it was told. */
  of: number
  /** Most points that are granted in a window. */
  limit: number
}

/** What came of it. */
export interface Taken {
  granted: number
  /** Counted in the window, what was granted included. */
  used: number
  /** Until the window ends. */
  resetMs: number
  /** Names the window: when it ends, by the clock of whoever counts. */
  window: number
}

/** Counts per key in windows of fixed length, shared by all gateways where there is Redis. */
export interface CountingWindows extends Running {
  /** True when other processes count, too. */
  readonly shared: boolean
  /** Counts in windows of one key, all in one call to the store; undefined when that cannot be reached. */
  take<W extends Window>(key: string, asks: Readonly<Record<W, Ask>>): Promise<Record<W, Taken> | undefined>
}

/** Takes from each of a key's windows, in one step, and answers in their order. */
export type TakeFromWindows = (
  key: string,
  asks: readonly (Ask & { window: Window; lengthMs: number })[],
) => Promise<readonly Taken[]>

/** The part of what is left of a window that may be spare. */
export const spareShare = 8

// Two looks at one window's end differ by what rounding takes.
const sameMs = 1_000

/** Whether two names of windows of one key mean the same. */
export function sameWindow(one: number, other: number): boolean {
  return Math.abs(one - other) <= sameMs
}
