import { describe, expect, test } from 'vitest'
import { type AliasedRequest, type AliasRule, resolveAlias } from './index.ts'

const rule = (to: Record<string, number>, when: AliasRule['when'] = {}, alias = 'chat'): AliasRule => ({
  ...{ alias, to, when },
})
const ask = (rules: AliasRule[], over: Partial<AliasedRequest> = {}) =>
  resolveAlias(rules, {
    ...{ model: 'chat', tenantId: 'acme', endpoint: '/v1/completions', estTokens: 100, splitKey: 'r1' },
    ...over,
  })

describe('an alias', () => {
  test('stands for the model of the first rule that holds, and says which', () => {
    const rules = [
      rule({ big: 1 }, { tenants: ['acme'], minTokens: 1_000 }),
      rule({ code: 1 }, { endpoints: ['/v1/chat/completions'] }),
      rule({ small: 1 }, { maxTokens: 100 }),
    ]
    expect(ask(rules, { estTokens: 1_000 })).toEqual({ model: 'big', why: 'chat is big by routes[0].' })
    expect(ask(rules, { estTokens: 1_000, tenantId: 'other' })).toEqual({ model: 'chat', why: undefined })
    expect(ask(rules, { estTokens: 999, endpoint: '/v1/chat/completions' }).model).toBe('code')
    expect(ask(rules).model).toBe('small')
    expect(ask(rules, { estTokens: 101 }).model).toBe('chat')
  })

  test('is followed once: what it stands for stands for itself', () => {
    expect(ask([rule({ chat: 1, b: 0.001 }), rule({ c: 1 }, {}, 'b')]).model).not.toBe('c')
  })

  test('that is split gives each model its share, and the same request always the same one', () => {
    const rules = [rule({ old: 90, new: 10 })]
    const models = Array.from({ length: 4_000 }, (_, i) => ask(rules, { splitKey: `r${i}` }).model)
    const share = models.filter((model) => model === 'new').length / models.length
    expect(share).toBeGreaterThan(0.08)
    expect(share).toBeLessThan(0.12)
    expect(Array.from({ length: 4_000 }, (_, i) => ask(rules, { splitKey: `r${i}` }).model)).toEqual(models)
    expect(ask(rules, { splitKey: 'r0' }).why).toMatch(/^chat is (old|new) by routes\[0\], its share (90|10) of 100\.$/)
  })

  test('whose share grows keeps the requests that it had', () => {
    const at = (weight: number, i: number) =>
      ask([rule({ anew: weight, old: 100 - weight })], { splitKey: `r${i}` }).model
    for (let i = 0; i < 500; i++) if (at(10, i) === 'anew') expect(at(30, i)).toBe('anew')
  })
})
