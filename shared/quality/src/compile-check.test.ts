import { describe, expect, it } from 'vitest'
import { compileCheck } from './compile-check.ts'

const chat = (...contents: (string | null)[]) => ({
  choices: contents.map((content, index) => ({ index, message: { role: 'assistant', content } })),
})
const person = {
  type: 'object',
  properties: { name: { type: 'string', pattern: '^[A-Z]' }, age: { type: 'integer', minimum: 0 } },
  required: ['name', 'age'],
}
const ofSchema = (json_schema: Record<string, unknown>) => compileCheck({ json_schema, max_retries: 0 })
const ofRegex = (regex: string) => compileCheck({ regex, max_retries: 0 })

describe('a check by JSON Schema', () => {
  it('lets through what fits and names the place of what does not', () => {
    const check = ofSchema(person)
    expect(check(chat('{"name":"Ada","age":36}'))).toBeUndefined()
    expect(check(chat('{"name":"Ada","age":-1}'))).toBe("The answer does not fit the schema: '/age' must be >= 0.")
    expect(check(chat('{"name":"ada","age":36}'))).toContain("'/name' must match pattern")
    expect(check(chat('Here it is: {"name":"Ada","age":36}'))).toBe('The answer is no JSON.')
  })

  it('asks it of every choice, of completions, and of the output of responses', () => {
    const check = ofSchema(person)
    const good = '{"name":"Ada","age":36}'
    expect(check(chat(good, '{}'))).toContain('must have required property')
    expect(check({ choices: [{ text: good }] })).toBeUndefined()
    expect(check({ output: [{ type: 'reasoning' }, { content: [{ type: 'output_text', text: good }] }] })).toBe(
      undefined,
    )
    expect(check(chat(null))).toBe('The answer has no text.')
    expect(check({ data: [{ embedding: [1] }] })).toBe('The answer has no text.')
  })

  it('reads draft-07 and 2020-12, and refuses what it cannot use, naming the parameter', () => {
    const $schema = 'http://json-schema.org/draft-07/schema#'
    expect(ofSchema({ $schema, items: [{ type: 'string' }], additionalItems: false })(chat('["a", 1]'))).toBeDefined()
    expect(ofSchema({ prefixItems: [{ type: 'string' }], items: false })(chat('["a"]'))).toBeUndefined()
    const param = 'forebay.check.json_schema'
    for (const bad of [
      { type: 'text' },
      { $ref: 'https://example.com/other.json' },
      { pattern: '(?=ahead)' },
      { description: 'x'.repeat(40_000) },
    ]) {
      expect(() => ofSchema(bad)).toThrowError(expect.objectContaining({ code: 'invalid_value', param }))
    }
  })

  it('ends a schema that multiplies its work, or never ends, without hanging', () => {
    const levels = Array.from({ length: 40 }, (_, i) => [
      `l${i}`,
      { allOf: [{ $ref: `#/$defs/l${i + 1}` }, { $ref: `#/$defs/l${i + 1}` }] },
    ])
    const $defs = { ...Object.fromEntries(levels), l40: { type: 'integer' } }
    const check = ofSchema({ $defs, $ref: '#/$defs/l0' })
    expect(check(chat('1'))).toContain('took longer than')
    check(chat('1'))
    check(chat('1'))
    expect(check(chat('1'))).toContain('given up')
    expect(() => ofSchema({ $defs: { a: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' })).toThrow('call stack')
  })
})

describe('a check by regular expression', () => {
  it('finds anywhere unless anchored', () => {
    expect(ofRegex('b+')(chat('abbc'))).toBeUndefined()
    expect(ofRegex('^(yes|no)$')(chat('yes'))).toBeUndefined()
    expect(ofRegex('^(yes|no)$')(chat('yes, certainly'))).toBe('The answer has nothing that the regex finds.')
  })

  it('is done at once with an expression that makes a backtracking engine explode', () => {
    expect(ofRegex('^(a+)+$')(chat(`${'a'.repeat(5_000)}!`))).toBe('The answer has nothing that the regex finds.')
  })

  it('refuses an expression that is none, both at once, and neither', () => {
    const at = (param: string) => expect.objectContaining({ code: 'invalid_value', param })
    expect(() => ofRegex('(')).toThrowError(at('forebay.check.regex'))
    expect(() => compileCheck({ max_retries: 1 })).toThrowError(at('forebay.check'))
    expect(() => compileCheck({ regex: 'a', json_schema: {}, max_retries: 1 })).toThrowError(at('forebay.check'))
  })
})
