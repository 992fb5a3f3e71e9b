import { isUtf8 } from 'node:buffer'
import { ForebayError } from '@forebay/kernel'

const depthMax = 64

/** Parses a request's JSON. Throws `invalid_json` for what is no JSON in UTF-8, `invalid_request` when nested deeper than 64. */
export function parseJson(bytes: Buffer): unknown {
  return parseJsonText(textOf(bytes))
}

/** The text of a body. Throws `invalid_json` when it is not UTF-8. */
export function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new ForebayError('invalid_json', 'The JSON body of your request is not valid UTF-8.')
  return bytes.toString('utf8')
}

/** As `parseJson`, of a body's text. */
export function parseJsonText(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (err) {
    const reason = err instanceof Error ? err.message : ''
    throw new ForebayError(
      'invalid_json',
      `We could not parse the JSON body of your request. Send valid JSON with 'Content-Type: application/json'. (${positionOf(reason)})`,
      { cause: err },
    )
  }
  if (isDeeper(value, depthMax)) {
    throw new ForebayError('invalid_request', `The JSON body of your request is nested deeper than ${depthMax} levels.`)
  }
  return value
}

// The parser's message quotes the body, which may be a prompt: only the position is shown.
function positionOf(message: string): string {
  return /position \d+/.exec(message)?.[0] ?? 'it ends too early'
}

function isDeeper(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return false
  if (levels === 0) return true
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, levels - 1))
  // Parsed JSON has no members but its own, and a list of them is made for nothing.
  for (const name in value) {
    if (isDeeper((value as Record<string, unknown>)[name], levels - 1)) return true
  }
  return false
}
