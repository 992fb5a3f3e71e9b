import { ForebayError } from '@forebay/kernel'
import type { FastifySchemaCompiler } from 'fastify'
import type { ZodType, z } from 'zod'
import { findBadText } from './text-rules.ts'

type Issue = z.core.$ZodIssue

/** Validates by zod and answers faults as OpenAI words them; text that the database cannot store is refused here, once for all routes. */
export const validatorCompiler: FastifySchemaCompiler<ZodType> =
  ({ schema }) =>
  (data: unknown) => {
    const result = schema.safeParse(data)
    if (!result.success) {
      const [issue] = result.error.issues
      return { error: issue ? toForebayError(issue, data) : new ForebayError('invalid_request', 'Invalid request.') }
    }
    const bad = findBadText(result.data, { nul: 'refuse' })
    if (bad !== undefined) {
      const text = `Invalid '${bad}': it holds a NUL character or half a surrogate pair, which is no valid text.`
      return { error: new ForebayError('invalid_value', text, { param: bad }) }
    }
    return { value: result.data }
  }

function toForebayError(issue: Issue, root: unknown): ForebayError {
  const param = issue.path.reduce<string>(
    (path, part) =>
      typeof part === 'number' ? `${path}[${part}]` : path === '' ? String(part) : `${path}.${String(part)}`,
    '',
  )
  const input = valueAt(root, issue.path)
  if (param === '' && issue.code === 'invalid_type') {
    const got = input === null || input === undefined ? 'got none' : `got ${kindOf(input)} instead`
    return new ForebayError('invalid_request', `The request body must be a JSON object, but ${got}.`)
  }
  const fault = (code: 'invalid_value' | 'invalid_type' | 'missing_required_parameter', message: string) =>
    new ForebayError(code, message, { param })
  if (input === undefined) return fault('missing_required_parameter', `Missing required parameter: '${param}'.`)
  switch (issue.code) {
    case 'invalid_type':
      return fault(
        'invalid_type',
        `Invalid type for '${param}': expected ${withArticle(issue.expected)}, but got ${kindOf(input)} instead.`,
      )
    case 'invalid_value':
      if (typeof input !== 'string') {
        return fault(
          'invalid_type',
          `Invalid type for '${param}': expected a string, but got ${kindOf(input)} instead.`,
        )
      }
      return fault('invalid_value', unsupportedValue(input, issue.values.map(String)))
    case 'too_big':
    case 'too_small':
      return fault('invalid_value', outOfRange(param, issue, input))
    case 'custom':
      return fault('invalid_value', issue.message)
    default:
      return fault('invalid_value', `Invalid '${param}': ${issue.message}.`)
  }
}

/** OpenAI's words for a value outside a list. */
export function unsupportedValue(input: string, values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`)
  const last = quoted.pop()
  const list = quoted.length === 0 ? last : `${quoted.join(', ')}${quoted.length > 1 ? ',' : ''} and ${last}`
  return `Invalid value: '${input}'. Supported values are: ${list}.`
}

function outOfRange(param: string, issue: Extract<Issue, { code: 'too_big' | 'too_small' }>, input: unknown): string {
  const big = issue.code === 'too_big'
  const bound = big ? issue.maximum : issue.minimum
  if (typeof input === 'string' && issue.origin === 'string') {
    return `Invalid '${param}': string too ${big ? 'long' : 'short'}. Expected a string with ${big ? 'maximum' : 'minimum'} length ${bound}, but got a string with length ${input.length} instead.`
  }
  if (issue.origin === 'array') {
    return `Invalid '${param}': array too ${big ? 'long' : 'short'}. Expected an array with ${big ? 'maximum' : 'minimum'} length ${bound}.`
  }
  return `Invalid '${param}': integer ${big ? 'above maximum' : 'below minimum'} value. Expected a value ${big ? '<=' : '>='} ${bound}, but got ${String(input)} instead.`
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

const names: Record<string, string> = { int: 'integer', record: 'object' }

function withArticle(name: string): string {
  const shown = names[name] ?? name
  return /^[aeiou]/.test(shown) ? `an ${shown}` : `a ${shown}`
}

/** What a JSON value is, as OpenAI's messages name it. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  switch (typeof value) {
    case 'undefined':
      return 'nothing'
    case 'object':
      return 'an object'
    case 'number':
      return Number.isInteger(value) ? 'an integer' : 'a decimal'
    case 'boolean':
      return 'a boolean'
    default:
      return 'a string'
  }
}
