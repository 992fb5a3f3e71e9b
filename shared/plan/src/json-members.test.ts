import fc from 'fast-check'
import { expect, it } from 'vitest'
import { findMembers } from './json-members.ts'

function bodyOf(line: string): string | undefined {
  const span = findMembers(Buffer.from(line), ['body'])?.body
  return span && Buffer.from(line).toString('utf8', span.start, span.end)
}

it('finds the bytes of a member as they stand, whatever is around and within it', () => {
  expect(bodyOf('{"a":[{"body":1}],"body" : {"x": 1.0e3,"y":"}\\"{"} ,"b":{}}')).toBe('{"x": 1.0e3,"y":"}\\"{"}')
  expect(bodyOf('{"body":12345678901234567890}')).toBe('12345678901234567890')
  expect(bodyOf('{"body":null \t}\r')).toBe('null')
  expect(bodyOf('{"body":"ü\u2028\\\\"}')).toBe('"ü\u2028\\\\"')
  expect(bodyOf('\ufeff{"body":[1 , 2]}')).toBe('[1 , 2]')
})

it('reads keys with escapes, and takes the last of duplicate members', () => {
  expect(bodyOf('{"b\\u006fdy":1,"x":2}')).toBe('1')
  expect(bodyOf('{"body":1,"body":{"second":true}}')).toBe('{"second":true}')
})

it('answers undefined for what is no whole object', () => {
  for (const line of [
    '',
    '[]',
    '{',
    '{"body"',
    '{"body":',
    '{"body":"x',
    '{"body":{"a":1',
    '{"body":1',
    '{body:1}',
    '{"\\x":1}',
  ]) {
    expect(findMembers(Buffer.from(line), ['body']), line).toBeUndefined()
  }
})

it('agrees with JSON.parse on every object, with any spacing', () => {
  const key = fc.oneof(
    fc.constantFrom('body', 'custom_id', 'bod', 'body ', '"', '\\', 'b\u0000'),
    fc.string({ unit: 'binary' }),
  )
  const escaped = (text: string) =>
    `"${[...text].map((c) => (c.length > 1 || c < ' ' || c === '"' || c === '\\' || c === 'o' ? [...Array(c.length).keys()].map((i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join('') : c)).join('')}"`
  const space = fc.stringMatching(/^[ \t\r]{0,3}$/)
  const member = fc.tuple(key, fc.boolean(), fc.jsonValue({ maxDepth: 3 }), fc.nat(2), space)
  fc.assert(
    fc.property(fc.array(member, { maxLength: 6 }), (members) => {
      const line = `{${members
        .map(
          ([k, isEscaped, value, indent, gap]) =>
            `${gap}${isEscaped ? escaped(k) : JSON.stringify(k)}${gap}:${gap}${JSON.stringify(value, null, indent)}${gap}`,
        )
        .join(',')}}`
      const bytes = Buffer.from(line)
      const found = findMembers(bytes, ['body', 'custom_id'])
      const parsed = JSON.parse(bytes.toString()) as Record<string, unknown>
      for (const name of ['body', 'custom_id'] as const) {
        const span = found?.[name]
        expect(span !== undefined).toBe(Object.hasOwn(parsed, name))
        if (span) expect(JSON.parse(bytes.toString('utf8', span.start, span.end))).toEqual(parsed[name])
      }
    }),
    { numRuns: 500 },
  )
})
