import { describe, expect, it } from 'vitest'
import { endUserHash, endUserIn, endUserOf } from './end-user.ts'

const of = (value: object) => endUserIn(Buffer.from(JSON.stringify(value)))

describe('whom a request is sent for', () => {
  it.each([
    [{ user: 'ada' }, 'ada'],
    [{ messages: [{ role: 'user', content: 'hi' }], safety_identifier: 'bob', user: 'ada' }, 'bob'],
    [{ safety_identifier: null, user: 'ada' }, 'ada'],
    [{ messages: [{ role: 'user', content: '"user": "eve"' }] }, undefined],
    [{ metadata: { user: 'eve' } }, undefined],
    [{ user: '' }, undefined],
    [{ user: 7 }, undefined],
    [{}, undefined],
  ])('%j: %s', (body, whom) => {
    expect([endUserOf(body), of(body)]).toEqual([whom, whom])
  })

  it('is read as JSON is, with space and escapes', () => {
    expect(endUserIn(Buffer.from('{"user"\n : "ada"}'))).toBe('ada')
    expect(endUserIn(Buffer.from('{"\\u0075ser":"\\u0061da"}'))).toBe('ada')
    expect(endUserIn(Buffer.from('{"user":'))).toBeUndefined()
  })

  it('is hashed by the tenant’s key', () => {
    const [one, other] = ['00'.repeat(32), '01'.repeat(32)]
    expect(endUserHash(one, 'ada')).toMatch(/^[0-9a-f]{32}$/)
    expect(endUserHash(one, 'ada')).toBe(endUserHash(one, 'ada'))
    expect(new Set([endUserHash(one, 'ada'), endUserHash(other, 'ada'), endUserHash(one, 'bob')]).size).toBe(3)
  })
})
