/**
 * SQL of a time that travels as milliseconds since 1970: a number is written and read faster than a date is.
 */
export const timeOf = (column: string) => `'epoch'::timestamptz + ${column} * interval '1 millisecond'`

/** A column of a bulk statement: its Postgres type and what a row has in it. */
export type Columns<R> = Record<string, readonly [type: string, value: (row: R) => Value]>

type Value = string | number | null

/**
 * Rows as parameters for `INSERT … SELECT … FROM ${from}`: any number of rows in one statement, in their order, under
 * the name `rows`. `names` lists the columns. A column that is the same in all rows travels once; that is most of them,
 * since rows come together because they are of one batch.
 */
export function unnest<R>(rows: readonly R[], columns: Columns<R>): { names: string; from: string; values: Value[] } {
  const values: Value[] = []
  const same: string[] = []
  const varying: string[] = []
  for (const [name, [type, read]] of Object.entries(columns)) {
    const [row] = rows
    const first = row === undefined ? null : read(row)
    // The last word is the arrays', for they make the rows.
    const isLast = varying.length === 0 && same.length === Object.keys(columns).length - 1
    if (!isLast && rows.every((each) => read(each) === first)) {
      same.push(`$${values.push(first)}::${type} AS ${name}`)
    } else {
      varying.push(`unnest($${values.push(arrayOf(rows, read))}::${type}[]) AS ${name}`)
    }
  }
  return {
    names: Object.keys(columns).join(', '),
    // In the list of columns: after FROM each array would be kept in a table of its own first.
    from: `(SELECT ${[...same, ...varying].join(', ')}) AS rows`,
    values,
  }
}

/** An array as Postgres reads it; the driver's own encoding looks at every value for all it might be. */
function arrayOf<R>(rows: readonly R[], read: (row: R) => Value): string {
  let text = '{'
  for (const row of rows) {
    const value = read(row)
    if (text.length > 1) text += ','
    if (value === null) text += 'NULL'
    else if (typeof value === 'number') text += value
    else text += `"${needsEscape.test(value) ? value.replaceAll(escaped, '\\$&') : value}"`
  }
  return `${text}}`
}

const needsEscape = /["\\]/
const escaped = /["\\]/g
