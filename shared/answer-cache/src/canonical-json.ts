/**
 * One text for equal JSON values: object keys sorted where `sorted` says so, numbers as the engine's parser reads them
 * (`1e2` is `100`). Undefined for a value that has no such text: a whole number beyond 2^53 lost digits when it was
 * parsed, so two different ones would look alike.
 */
export function canonicalJson(value: unknown, options: { sorted: boolean }): string | undefined {
  if (typeof value === 'number') {
    const exact = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
    return exact ? JSON.stringify(value) : undefined
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const parts: string[] = []
  if (Array.isArray(value)) {
    for (const item of value) {
      const text = canonicalJson(item, options)
      if (text === undefined) return undefined
      parts.push(text)
    }
    return `[${parts.join(',')}]`
  }
  const entries = Object.entries(value)
  if (options.sorted) entries.sort(([a], [b]) => (a < b ? -1 : 1))
  for (const [key, item] of entries) {
    const text = canonicalJson(item, options)
    if (text === undefined) return undefined
    parts.push(`${JSON.stringify(key)}:${text}`)
  }
  return `{${parts.join(',')}}`
}
