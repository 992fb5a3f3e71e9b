import { expect, it } from 'vitest'
import { spliceMembers } from './splice-members.ts'

const splice = (
  body: string,
  members: Record<string, string | number | undefined> = { priority: 7, cache_salt: 's' },
) => {
  const { added, body: spliced } = spliceMembers(Buffer.from(body), members)
  return { added, text: spliced.toString() }
}

it('puts members before the closing brace and leaves every other byte', () => {
  const body = '{ "n": 1.0,"seed":12345678901234567890, "t":"\\u00e9 é }{", "tools":[{}]'
  expect(splice(`${body} }\n`)).toEqual({
    added: ['priority', 'cache_salt'],
    text: `${body} ,"priority":7,"cache_salt":"s"}\n`,
  })
})

it('makes an empty object one with members', () => {
  for (const body of ['{}', ' { \n} ']) expect(JSON.parse(splice(body).text)).toEqual({ priority: 7, cache_salt: 's' })
})

it.each([
  ['{"priority":-5}', ['cache_salt']],
  ['{"priority":null,"cache_salt":""}', []],
  ['{"pri\\u006frity":1}', ['cache_salt']],
  ['{"x":{"priority":1,"cache_salt":"own"},"y":"cache_salt"}', ['priority', 'cache_salt']],
])('never adds what the client has set itself at the top: %s', (body, added) => {
  const spliced = splice(body)
  expect(spliced.added).toEqual(added)
  expect(JSON.parse(spliced.text)).toMatchObject(JSON.parse(body))
  if (added.length === 0) expect(spliced.text).toBe(body)
})

it.each(['', '[1]', '"text"', '{"a":1,}', '{"a":1', 'no JSON }'])('leaves what is no object as it is: %s', (body) => {
  expect(splice(body)).toEqual({ added: [], text: body })
})

it.each(['{"a":[1}}', '{"a":1} }', '{"a":1}{}', '{"a":b}'])('makes no valid object of a broken one: %s', (body) => {
  expect(() => JSON.parse(body)).toThrow()
  expect(() => JSON.parse(splice(body).text)).toThrow()
})

it('adds nothing that has no value', () => {
  expect(splice('{}', { priority: undefined, cache_salt: 's' }).text).toBe('{"cache_salt":"s"}')
})
