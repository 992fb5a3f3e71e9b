/** A column of a bulk statement: its Postgres type and what a row has in it. */
export type Columns<R> = Record<string, readonly [type: string, value: (row: R) => string | number | null]>

/**
 * Rows as one array parameter per column, for `INSERT … SELECT … FROM ${from}`: any number of rows in one statement,
 * in their order. `names` lists the columns.
 */
export function unnest<R>(rows: readonly R[], columns: Columns<R>): { names: string; from: string; values: unknown[] } {
  const names = Object.keys(columns).join(', ')
  const parameters = Object.values(columns).map(([type], i) => `$${i + 1}::${type}[]`)
  return {
    names,
    from: `unnest(${parameters.join(', ')}) AS rows (${names})`,
    values: Object.values(columns).map(([, value]) => rows.map(value)),
  }
}
