/** What the events must come to. */
export interface Truth {
  batches: { id: string; total: number }[]
  events: { id: string; results: unknown[] }[]
  requests: number
}
export function makeTruth(options: {
  batches: number
  linesPerBatch: number
  liveRequests: number
  random: () => number
  nowMs: number
}): Truth
export function prepare(databaseUrl: string, truth: Truth): Promise<void>
export function countRequests(databaseUrl: string): Promise<number>
export function compare(
  databaseUrl: string,
  truth: Truth,
): Promise<{ lost: number; doubled: number; ledgerDifferenceNano: number; problems: string[] }>
