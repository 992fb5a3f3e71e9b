import { describe, expect, it } from 'vitest'
import { answerKey, readCacheable } from './answer-key.ts'

const endpoint = '/v1/chat/completions'
const base = { model: 'm', temperature: 0, messages: [{ role: 'user', content: 'hi' }] }

function canonical(text: string): string | undefined {
  const read = readCacheable({ endpoint, text, fields: JSON.parse(text) })
  return 'canonical' in read ? read.canonical : undefined
}
const of = (body: object) => canonical(JSON.stringify(body))

describe('what is cached', () => {
  it('is a generation at temperature 0 or with a seed, and every embedding', () => {
    expect(of(base)).toBeDefined()
    expect(of({ ...base, temperature: 0.7, seed: 4 })).toBeDefined()
    for (const temperature of [undefined, null, 0.1, 1, '0']) expect(of({ ...base, temperature })).toBeUndefined()
    const fields = { model: 'e', input: 'x' }
    expect(readCacheable({ endpoint: '/v1/embeddings', text: '', fields })).toHaveProperty('canonical')
  })

  it('is not a stream with usage in every chunk', () => {
    expect(of({ ...base, stream: true, stream_options: { continuous_usage_stats: true } })).toBeUndefined()
  })
})

describe('the canonical form', () => {
  it('is the same whatever cannot change the answer', () => {
    const same = [
      '{"messages":[{"content":"hi","role":"user"}],"temperature":0.0,"model":"m"}',
      '{ "temperature": -0, "model": "m", "messages": [ { "role": "user", "content": "\\u0068i" } ] }',
      JSON.stringify({ ...base, stream: true, stream_options: { include_usage: true } }),
      JSON.stringify({ ...base, user: 'u', metadata: { a: 'b' }, service_tier: 'flex', store: true, priority: 3 }),
    ]
    for (const text of same) expect(canonical(text)).toBe(of(base))
  })

  it('differs with everything that can, also with what is not known', () => {
    const others = [
      { ...base, model: 'n' },
      { ...base, seed: 1 },
      { ...base, n: 2 },
      { ...base, max_tokens: 5 },
      { ...base, logprobs: true },
      { ...base, stop: ['x'] },
      { ...base, a_new_field: 1 },
      { ...base, messages: [{ role: 'user', content: 'hi ' }] },
      { ...base, messages: [{ role: 'system', content: 'hi' }] },
      { ...base, messages: [...base.messages, ...base.messages] },
    ]
    expect(new Set([base, ...others].map(of)).size).toBe(others.length + 1)
  })

  it('keeps the order of keys where it reaches the model', () => {
    const schema = (...names: string[]) => ({ ...base, tools: [Object.fromEntries(names.map((name) => [name, 1]))] })
    expect(of(schema('a', 'b'))).not.toBe(of(schema('b', 'a')))
  })

  it('does not take two whole numbers for one that only parsing made equal', () => {
    const seeded = (seed: string) => canonical(`{"model":"m","seed":${seed},"messages":[]}`)
    expect(seeded('12345678901234567890')).not.toBe(seeded('12345678901234567891'))
    expect(seeded('1e400')).not.toBe(seeded('null'))
  })
})

describe('the key', () => {
  it('differs by tenant, endpoint, model, version and epoch', () => {
    const options = { tenantId: 't', endpoint, model: 'm', modelVersion: '1', epoch: '0', canonical: '{}' } as const
    const keys = [
      options,
      { ...options, tenantId: 'u' },
      { ...options, endpoint: '/v1/completions' as const },
      { ...options, model: 'n' },
      { ...options, modelVersion: '2' },
      { ...options, epoch: '1' },
      { ...options, canonical: '[]' },
    ].map(answerKey)
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/)
  })
})
