import { describe, expect, it } from 'vitest'
import { embed } from './embed.ts'
import { planText, type TextRequest } from './plan-text.ts'
import { tokenize } from './tokenizer.ts'

const plan = (request: Partial<TextRequest> = {}) =>
  planText({ seed: 1, maxTokens: 1000, minTokens: 0, ignoreEos: false, stop: [], ...request })

describe('planText', () => {
  it('gives the same text for the same seed and another for another', () => {
    expect(plan()).toEqual(plan())
    expect(plan({ seed: 2 }).pieces).not.toEqual(plan().pieces)
  })

  it('ends by itself within the limit, and at the limit with reason length', () => {
    const whole = plan()
    expect(whole.reason).toBe('stop')
    expect(plan({ maxTokens: 5 })).toEqual({ pieces: whole.pieces.slice(0, 5), reason: 'length' })
    expect(plan({ ignoreEos: true }).pieces).toHaveLength(1000)
    expect(plan({ exactTokens: 77 })).toMatchObject({ pieces: { length: 77 }, reason: 'stop' })
  })

  it('ends before the first stop string, also one that spans tokens', () => {
    const text = plan().pieces.join('')
    const mark = text.slice(20, 34)
    const cut = plan({ stop: ['not in there', mark] })
    expect(cut.pieces.join('')).toBe(text.slice(0, text.indexOf(mark)))
    expect(cut.reason).toBe('stop')
  })

  it('answers a schema with JSON that fits it', () => {
    const jsonSchema = {
      type: 'object',
      properties: {
        name: { type: 'string', maxLength: 5 },
        age: { type: 'integer', minimum: 18, maximum: 20 },
        kind: { enum: ['cat', 'dog'] },
        tags: { type: 'array', items: { $ref: '#/$defs/tag' }, minItems: 2 },
      },
      $defs: { tag: { type: 'boolean' } },
    }
    const value = JSON.parse(plan({ jsonSchema }).pieces.join(''))
    expect(Object.keys(value)).toEqual(['name', 'age', 'kind', 'tags'])
    expect(value.name.length).toBeLessThanOrEqual(5)
    expect([18, 19, 20]).toContain(value.age)
    expect(['cat', 'dog']).toContain(value.kind)
    expect(value.tags.map((tag: unknown) => typeof tag)).toEqual(['boolean', 'boolean'])
  })
})

describe('tokenize', () => {
  it('counts a token per four bytes and gives texts that begin alike tokens that begin alike', () => {
    expect([tokenize(''), tokenize('abc'), tokenize('abcd'), tokenize('ééé')].map((t) => t.length)).toEqual([
      0, 1, 1, 2,
    ])
    expect(tokenize('same start, one end').slice(0, 3)).toEqual(tokenize('same start, another').slice(0, 3))
  })
})

describe('embed', () => {
  it('gives unit vectors, equal for equal texts and closer for texts that share words', () => {
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)
    const cats = embed('cats sleep all day', 64)
    expect(dot(cats, cats)).toBeCloseTo(1, 5)
    expect(embed('cats sleep all day', 64)).toEqual(cats)
    expect(dot(cats, embed('cats sleep all night', 64))).toBeGreaterThan(
      dot(cats, embed('quarterly tax report', 64)) + 0.2,
    )
  })
})
