import { isUtf8 } from 'node:buffer'
import { type InferenceEndpoint, promptParameter } from '@forebay/contracts'
import { type FaultList, jsonType, quotable } from './faults.ts'

const depthMax = 64
const customIdLengthMax = 512

type JsonObject = Record<string, unknown>

/** What the planner takes from a line; a field is undefined when the line has no usable one. */
export interface CheckedLine {
  customId: string | undefined
  model: string | undefined
  body: JsonObject | undefined
}

/** How a batch's lines must be. */
export interface LineRules {
  endpoint: InferenceEndpoint
  knowsModel: (model: string) => boolean
}

/** Checks all that can be seen of one line alone, adding each fault, with OpenAI's codes and texts where it has them. */
export function checkLine(bytes: Buffer, line: number, rules: LineRules, faults: FaultList): CheckedLine {
  const nothing = { customId: undefined, model: undefined, body: undefined }
  const unreadable = () => faults.add(line, 'invalid_json_line', null, 'This line is not parseable as valid JSON.')
  let value: unknown
  let text: string
  try {
    if (!isUtf8(bytes)) throw new SyntaxError('not UTF-8')
    text = bytes.toString('utf8')
    value = JSON.parse(text)
  } catch {
    unreadable()
    return nothing
  }
  if (!isObject(value)) {
    unreadable()
    return nothing
  }
  if (isDeeper(value, depthMax)) {
    faults.add(line, 'invalid_request', null, `This line is nested deeper than ${depthMax} levels.`)
    return nothing
  }
  const customId = checkCustomId(value['custom_id'], line, faults)
  checkMethod(value['method'], line, faults)
  checkUrl(value['url'], line, rules.endpoint, faults)
  const body = checkBody(value['body'], line, faults)
  // A lone surrogate can only be in valid UTF-8 as an escape.
  if (body && /\\u[dD][89a-fA-F]/.test(text) && holdsLoneSurrogate(body)) {
    faults.add(line, 'invalid_value', 'body', "Invalid 'body': it holds half a surrogate pair, which is no valid text.")
  }
  return { customId, body, model: body && checkContents(body, line, rules, faults) }
}

function checkCustomId(value: unknown, line: number, faults: FaultList): string | undefined {
  const param = 'custom_id'
  if (value === undefined || value === null) return missing(line, param, faults)
  if (typeof value !== 'string') return wrongType(line, param, 'a string', value, faults)
  if (value.length < 1 || value.length > customIdLengthMax) {
    const message = `Invalid 'custom_id': expected a string of 1 to ${customIdLengthMax} characters, but got ${value.length}.`
    faults.add(line, 'invalid_value', param, message)
    return undefined
  }
  if (value.includes('\0') || /\p{Surrogate}/u.test(value)) {
    const message = "Invalid 'custom_id': NUL characters and unpaired surrogates are not allowed."
    faults.add(line, 'invalid_value', param, message)
    return undefined
  }
  return value
}

function checkMethod(value: unknown, line: number, faults: FaultList): undefined {
  if (value === undefined || value === null) return missing(line, 'method', faults)
  if (value === 'POST') return
  const shown = typeof value === 'string' ? `'${quotable(value)}'` : jsonType(value)
  faults.add(line, 'invalid_value', 'method', `Invalid value: ${shown}. Supported values are: 'POST'.`)
}

function checkUrl(value: unknown, line: number, endpoint: InferenceEndpoint, faults: FaultList): undefined {
  if (value === undefined || value === null) return missing(line, 'url', faults)
  if (value === endpoint) return
  faults.add(line, 'invalid_url', 'url', 'The URL provided for this request does not match the batch endpoint.')
}

function checkBody(value: unknown, line: number, faults: FaultList): JsonObject | undefined {
  if (value === undefined || value === null) return missing(line, 'body', faults)
  return isObject(value) ? value : wrongType(line, 'body', 'an object', value, faults)
}

function checkContents(body: JsonObject, line: number, rules: LineRules, faults: FaultList): string | undefined {
  checkPrompt(body, line, rules.endpoint, faults)
  if (body['stream'] === true) {
    const name = {
      '/v1/chat/completions': 'Chat Completions',
      '/v1/completions': 'Completions',
      '/v1/embeddings': 'Embeddings',
    }
    const message = `${name[rules.endpoint]}: Streaming is not supported in the Batch API.`
    faults.add(line, 'streaming_unsupported', 'body.stream', message)
  }
  const model = body['model']
  if (model === undefined || model === null || model === '') {
    faults.add(line, 'invalid_request', 'body.model', 'Model parameter is required.')
    return undefined
  }
  if (typeof model !== 'string') return wrongType(line, 'body.model', 'a string', model, faults)
  if (!rules.knowsModel(model)) {
    const message = `The provided model '${quotable(model)}' is not supported by the Batch API.`
    faults.add(line, 'model_not_found', 'body.model', message)
    return undefined
  }
  return model
}

function checkPrompt(body: JsonObject, line: number, endpoint: InferenceEndpoint, faults: FaultList): void {
  const { name, label } = promptParameter[endpoint]
  const value = body[name]
  const param = `body.${name}`
  if (value === undefined || value === null) {
    faults.add(line, 'invalid_request', param, `${label} parameter is required.`)
  } else if (!Array.isArray(value) && (name === 'messages' || typeof value !== 'string')) {
    wrongType(line, param, name === 'messages' ? 'an array' : 'a string or an array', value, faults)
  } else if (value.length === 0) {
    faults.add(line, 'invalid_value', param, `Invalid '${param}': it must not be empty.`)
  }
}

function missing(line: number, param: string, faults: FaultList): undefined {
  faults.add(line, 'missing_required_parameter', param, `Missing required parameter: '${param}'.`)
}

function wrongType(line: number, param: string, expected: string, value: unknown, faults: FaultList): undefined {
  const message = `Invalid type for '${param}': expected ${expected}, but got ${jsonType(value)} instead.`
  faults.add(line, 'invalid_type', param, message)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// A recursion of at most `levels`: JSON.parse itself takes any depth, what reads the line later may not.
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) return value.some((child) => isDeeper(child, levels - 1))
  for (const key in value) if (isDeeper((value as JsonObject)[key], levels - 1)) return true
  return false
}

function holdsLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return /\p{Surrogate}/u.test(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, child]) => holdsLoneSurrogate(key) || holdsLoneSurrogate(child))
}
