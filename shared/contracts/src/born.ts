const pattern = /^(?:batch_req_|batch_|req_)(0[0-9a-f]{11})[0-9a-f]{20}/

/**
 * The day (UTC, YYYY-MM-DD) in the time that the id of a batch, of a request or of a batch's line begins with; the epoch's
 * for an id without one. It is a function of the id alone, whenever the request ends: the audit log is partitioned by
 * it. The same as the database's `born_of`.
 */
export function bornOf(id: string): string {
  const digits = pattern.exec(id)?.[1]
  return new Date(digits === undefined ? 0 : Number.parseInt(digits, 16)).toISOString().slice(0, 10)
}
