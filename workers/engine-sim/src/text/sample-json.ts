import { makeWordStream } from './words.ts'

type Schema = Record<string, unknown>

/** A plain value that fits the common part of JSON Schema: types, properties, enum, const, bounds, unions, local `$ref`. */
export function sampleJson(schema: unknown, random: () => number): unknown {
  const words = makeWordStream(random)
  return sample(asSchema(schema), { root: asSchema(schema), random, words, depth: 0 })
}

interface Context {
  root: Schema
  random: () => number
  words: () => string
  depth: number
}

function sample(schema: Schema, ctx: Context): unknown {
  const deeper = { ...ctx, depth: ctx.depth + 1 }
  if (ctx.depth > 8) return null
  if ('const' in schema) return schema['const']
  const oneOf = schema['enum'] ?? undefined
  if (Array.isArray(oneOf) && oneOf.length > 0) return oneOf[Math.floor(ctx.random() * oneOf.length)]
  if (typeof schema['$ref'] === 'string') return sample(resolveRef(schema['$ref'], ctx.root), deeper)
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    const options = schema[key]
    if (Array.isArray(options)) return sample(asSchema(options[0]), deeper)
  }
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type']
  switch (type ?? (schema['properties'] ? 'object' : 'string')) {
    case 'object':
      return Object.fromEntries(
        Object.entries(asSchema(schema['properties'])).map(([key, value]) => [key, sample(asSchema(value), deeper)]),
      )
    case 'array':
      return Array.from({ length: numberOr(schema['minItems'], 1) }, () => sample(asSchema(schema['items']), deeper))
    case 'integer':
    case 'number':
      return sampleNumber(schema, ctx.random)
    case 'boolean':
      return ctx.random() < 0.5
    case 'null':
      return null
    default:
      return sampleString(schema, ctx.words)
  }
}

function sampleNumber(schema: Schema, random: () => number): number {
  const low = Math.ceil(numberOr(schema['minimum'], numberOr(schema['exclusiveMinimum'], -1) + 1))
  const high = Math.floor(numberOr(schema['maximum'], numberOr(schema['exclusiveMaximum'], low + 101) - 1))
  return high <= low ? low : low + Math.floor(random() * (high - low + 1))
}

function sampleString(schema: Schema, words: () => string): string {
  let text = `${words()}${words()}`.trim()
  const least = numberOr(schema['minLength'], 0)
  while (text.length < least) text += words()
  return text.slice(0, numberOr(schema['maxLength'], text.length))
}

function resolveRef(ref: string, root: Schema): Schema {
  if (!ref.startsWith('#')) return {}
  let at: unknown = root
  for (const key of ref.slice(1).split('/').filter(Boolean)) at = asSchema(at)[key]
  return asSchema(at)
}

function asSchema(value: unknown): Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {}
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' ? value : fallback
}
