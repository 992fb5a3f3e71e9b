const unstorable = /[\0\p{Surrogate}]/u
const loneSurrogate = /\p{Surrogate}/u

/**
 * The path of the first string (or key) in `value` that is no valid text: it holds a lone surrogate or, unless
 * `nul` allows it, a NUL character, which Postgres never stores. Undefined when there is none. '' means `value` itself.
 */
export function findBadText(value: unknown, options: { nul: 'refuse' | 'allow' }, path = ''): string | undefined {
  const bad = options.nul === 'refuse' ? unstorable : loneSurrogate
  if (typeof value === 'string') return bad.test(value) ? path : undefined
  if (value === null || typeof value !== 'object') return undefined
  const inArray = Array.isArray(value)
  for (const [key, item] of Object.entries(value)) {
    if (bad.test(key)) return path
    const found = findBadText(item, options, inArray ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}
