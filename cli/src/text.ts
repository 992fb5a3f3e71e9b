/** Rows as aligned columns under a header; the last column is not padded. */
export function table(header: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const lines = [header, ...rows].map((row) => row.map(cell))
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((text, column) => (column === line.length - 1 ? text : text.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Names and values, one to a line; values that are missing are left out. */
export function fields(pairs: readonly (readonly [string, unknown])[]): string {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${cell(value)}`).join('\n')
}

/** Unix seconds, or a time's text, as ISO 8601 without the milliseconds. */
export function time(value: number | string | null | undefined): string | null {
  if (value === null || value === undefined) return null
  return new Date(typeof value === 'number' ? value * 1000 : value).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** A size in the unit that reads best. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return `${Number((bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1))} ${units[unit]}`
}

/** Nano-units of a currency as an amount. */
export function money(nano: number, currency: string): string {
  return `${(nano / 1e9).toFixed(nano !== 0 && Math.abs(nano) < 1e7 ? 6 : 2)} ${currency}`
}

/** A count and its noun: `1 line`, `2 lines`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (typeof value === 'number') return value.toLocaleString('en-US')
  // A control character in a name must not reach the terminal.
  return (Array.isArray(value) ? value.join(',') : String(value)).replace(/\p{Cc}/gu, '?')
}
