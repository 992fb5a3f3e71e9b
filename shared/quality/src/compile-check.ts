import { type AnswerCheck, checkSchemaBytesMax } from '@forebay/contracts'
import { ForebayError, isForebayError } from '@forebay/kernel'
import { Ajv, type Options, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { RE2JS } from 're2js'
import { answerTexts } from './answer-texts.ts'
import { runBounded } from './bounded.ts'

/** Why an answer does not fit, in words; undefined when it does. `answer`: the engine's whole answer, parsed. */
export type FitsNot = (answer: unknown) => string | undefined

type Judge = (text: string) => string | undefined

const compileMs = 1_000
const checkMs = 1_000
// In a row: a check so slow holds up everything else that its worker does, a busy machine is slow now and then.
const timeoutsMax = 3
const shownMax = 300

/**
 * Compiles a check. Throws `invalid_value`, with the `param` below `forebay.check` that is at fault, for a schema or an
 * expression that cannot be used. Regular expressions, also those within a schema, run in a linear-time engine; whatever
 * takes longer than a second of an answer is cut off and taken for a failure, and a check that did so three times in a row fails
 * every answer.
 */
export function compileCheck(check: AnswerCheck): FitsNot {
  const { json_schema: schema, regex } = check
  if ((schema === undefined) === (regex === undefined)) {
    throw refusal("Give 'json_schema' or 'regex', one of them.", 'forebay.check')
  }
  const judge = schema === undefined ? regexJudge(regex ?? '') : schemaJudge(schema)
  let timeouts = 0
  return (answer) => {
    const texts = answerTexts(answer)
    if (texts.length === 0) return 'The answer has no text.'
    if (timeouts >= timeoutsMax) return 'The check takes too long: it was given up.'
    try {
      const fault = runBounded(checkMs, () => firstFault(texts, judge))
      timeouts = 0
      return fault
    } catch (err) {
      if (isForebayError(err) && err.code === 'timeout') {
        timeouts++
        return `The check of the answer took longer than ${checkMs} ms.`
      }
      // An answer may be nested deeper than a schema that refers to itself can follow.
      if (err instanceof RangeError) return 'The check of the answer goes too deep.'
      throw err
    }
  }
}

function firstFault(texts: readonly string[], judge: Judge): string | undefined {
  for (const text of texts) {
    const fault = judge(text)
    if (fault !== undefined) return fault
  }
  return undefined
}

function regexJudge(regex: string): Judge {
  const param = 'forebay.check.regex'
  const pattern = compiled(param, () => RE2JS.compile(regex))
  return (text) => (pattern.matcher(text).find() ? undefined : 'The answer has nothing that the regex finds.')
}

function schemaJudge(schema: Record<string, unknown>): Judge {
  const param = 'forebay.check.json_schema'
  if (Buffer.byteLength(JSON.stringify(schema)) > checkSchemaBytesMax) {
    throw refusal(`Invalid '${param}': it has more than ${checkSchemaBytesMax} bytes of JSON.`, param)
  }
  const fits = compiled(param, () => compileSchema(schema))
  return (text) => {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return 'The answer is no JSON.'
    }
    if (fits(value)) return undefined
    const [fault] = fits.errors ?? []
    const where = fault?.instancePath ? `'${fault.instancePath}' ` : ''
    return `The answer does not fit the schema: ${where}${fault?.message ?? 'it is refused'}.`.slice(0, shownMax)
  }
}

const options: Options = {
  // As validators are to do: what a schema says beyond the standard is no fault of it.
  strict: false,
  validateFormats: false,
  // What a schema repeats by reference is not repeated in the code that it is compiled to.
  inlineRefs: false,
  logger: false,
  code: { regExp: Object.assign((source: string) => linear(source), { code: 'linear' }) },
}

function compileSchema(schema: Record<string, unknown>): ValidateFunction {
  const draft = schema['$schema']
  const isOlder = typeof draft === 'string' && /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/.test(draft)
  return isOlder ? new Ajv(options).compile(schema) : new Ajv2020(options).compile(schema)
}

// By its text as a string one is told from another.
function linear(source: string): { test: (text: string) => boolean; toString: () => string } {
  const pattern = RE2JS.compile(source)
  return { test: (text) => pattern.matcher(text).find(), toString: () => source }
}

function compiled<T>(param: string, compile: () => T): T {
  try {
    return runBounded(compileMs, compile)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw refusal(`Invalid '${param}': ${why.slice(0, shownMax)}`, param, err)
  }
}

function refusal(text: string, param: string, cause?: unknown): ForebayError {
  return new ForebayError('invalid_value', text, { param, cause })
}
