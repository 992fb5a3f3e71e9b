import { describe, expect, it } from 'vitest'
import { type AliasRule, answersAgree, complexityOf, resolveAlias } from './index.ts'

const chat = (content: string, more = {}) => ({ messages: [{ role: 'user', content }], ...more })
const score = (body: object, promptTokens = 20) => complexityOf(body, promptTokens).score

describe('the complexity of a request', () => {
  it('is small for a short question, and grows with what makes it hard', () => {
    const easy = score(chat('What is the capital of France?'))
    expect(easy).toBeLessThan(0.05)
    for (const body of [
      chat('Fix this:\n```\nconst f = (x) => x\n```'),
      chat('Prove that \\sqrt{2} is irrational.'),
      chat('Plan it step by step.'),
      chat('hi', { tools: [{}, {}, {}, {}] }),
      chat('hi', { response_format: { type: 'json_schema', json_schema: {} } }),
      chat('hi', { max_tokens: 4_000 }),
      { messages: Array.from({ length: 13 }, () => ({ role: 'user', content: 'hi' })) },
    ]) {
      expect(score(body)).toBeGreaterThanOrEqual(easy + 0.15)
    }
    expect(score(chat('x'), 4_000)).toBeGreaterThan(0.3)
    const hard = complexityOf(chat('Prove ```f(x) => 1``` step by step', { tools: [{}, {}, {}, {}] }), 8_000)
    expect(hard).toEqual({ score: 1, because: 'prompt 0.35, tools 0.30' })
  })

  it('is a score for any body, in bounded time', () => {
    for (const body of [
      {},
      { messages: 'x' },
      { messages: [null, 7, { content: [{ text: 'a' }, null] }] },
      { prompt: [1] },
    ]) {
      expect(score(body)).toBeGreaterThanOrEqual(0)
      expect(score(body)).toBeLessThanOrEqual(1)
    }
    expect(score(chat('x'.repeat(5_000_000)), 1e9)).toBeCloseTo(0.35)
  })
})

describe('a rule by complexity', () => {
  const complexity = { small: 's', large: 'l', threshold: 0.2, sampleShare: 0, agreementMin: 0.8, samplesMin: 5 }
  const rule: AliasRule = { alias: 'auto', to: { s: 1, l: 1 }, complexity, when: {} }
  const ask = (content: string, distrust?: (rule: AliasRule) => string | undefined) =>
    resolveAlias([rule], {
      ...{ model: 'auto', tenantId: 't', endpoint: '/v1/chat/completions', estTokens: 50, splitKey: 'r', distrust },
      body: chat(content),
    })

  it('gives what looks easy to the small model and the rest to the large one, and says why', () => {
    expect(ask('hi')).toMatchObject({
      ...{ model: 's', why: 'auto is s by routes[0], complexity 0.00 (nothing of weight), below 0.2.' },
    })
    expect(ask('Prove it.')).toMatchObject({
      model: 'l',
      why: expect.stringMatching(/complexity 0\.25 \(maths 0\.25\), from 0\.2 on\.$/),
    })
  })

  it('gives everything to the large one while the small one is not trusted', () => {
    expect(ask('hi', () => 's agrees too rarely')).toMatchObject({
      ...{
        model: 'l',
        why: 'auto is l by routes[0], complexity 0.00 (nothing of weight), below 0.2; s agrees too rarely.',
      },
    })
  })
})

it('two answers agree when they say the same as far as words tell; other numbers, other JSON and other words do not', () => {
  expect(answersAgree('Paris.', 'paris')).toBe(true)
  expect(answersAgree('The capital of France is Paris.', 'Paris is the capital of France, of course.')).toBe(true)
  expect(answersAgree('{"a":1,"b":[2]}', ' {"b": [2], "a": 1}')).toBe(true)
  expect(answersAgree('{"a":1,"b":2}', '{"a":2,"b":1}')).toBe(false)
  expect(answersAgree('It costs 12 euros a month.', 'It costs 21 euros a month.')).toBe(false)
  expect(answersAgree('Yes, you can do that.', 'No: it is forbidden by law.')).toBe(false)
})
