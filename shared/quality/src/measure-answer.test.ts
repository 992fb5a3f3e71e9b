import { describe, expect, it } from 'vitest'
import { measureAnswer } from './measure-answer.ts'
import { addToSpread, describeSpread, emptySpread } from './spread.ts'

const chat = (...contents: string[]) => ({ choices: contents.map((content) => ({ message: { content } })) })
const prose =
  'A forebay is the still water in front of the turbines of a power house: it takes the bursts of the river and feeds them steadily, so that none of them ever runs dry or is flooded.'

describe('repetition', () => {
  it('is nothing in prose and nearly all in a loop, of words as of characters', () => {
    expect(measureAnswer(chat(prose))).toEqual({ repetition: 0, perplexity: null })
    expect(measureAnswer(chat('I am sorry. '.repeat(100)))?.repetition).toBeGreaterThan(0.98)
    expect(measureAnswer(chat('水は流れる'.repeat(40)))?.repetition).toBeGreaterThan(0.95)
    expect(measureAnswer(chat(`${prose} ${prose}`))?.repetition).toBeCloseTo(0.47, 1)
  })

  it('sees a loop at the end of a long answer, and the worst of several choices', () => {
    const long = Array.from({ length: 10_000 }, (_, i) => `word${i}`).join(' ')
    expect(measureAnswer(chat(long + ' and again'.repeat(5_000)))?.repetition).toBeGreaterThan(0.9)
    expect(measureAnswer(chat(prose, 'so it goes on '.repeat(50)))?.repetition).toBeGreaterThan(0.95)
  })

  it('says nothing of a few words, of no text, and of embeddings', () => {
    expect(measureAnswer(chat('yes yes yes yes yes yes'))).toBeUndefined()
    expect(measureAnswer({ data: [{ embedding: [1] }] })).toBeUndefined()
    expect(measureAnswer(undefined)).toBeUndefined()
  })
})

describe('perplexity', () => {
  it('is e to the mean of −ln p, for chat and completions alike', () => {
    const of = (...ps: number[]) => ps.map((p) => ({ token: 'x', logprob: Math.log(p) }))
    expect(measureAnswer({ choices: [{ logprobs: { content: of(0.5, 0.5) } }] })?.perplexity).toBe(2)
    const token_logprobs = [null, Math.log(0.1), Math.log(0.001)]
    expect(measureAnswer({ choices: [{ text: 'a', logprobs: { token_logprobs } }] })?.perplexity).toBe(100)
    expect(measureAnswer({ choices: [{ text: 'a', logprobs: { token_logprobs: [0] } }] })?.perplexity).toBe(1)
    expect(measureAnswer({ choices: [{ text: 'a', logprobs: null }] })).toBeUndefined()
  })
})

describe('a spread', () => {
  it('tells the mean, the 95th percentile to the step, and how many are over', () => {
    const spread = emptySpread('repetition')
    for (let i = 1; i <= 100; i++) addToSpread(spread, i / 100, { measure: 'repetition', threshold: 0.9 })
    expect(describeSpread('repetition', spread)).toEqual({ mean: 0.505, p95: 0.96 })
    expect(spread.over).toBe(10)
    expect(describeSpread('repetition', emptySpread('repetition'))).toEqual({ mean: null, p95: null })
  })

  it('has room for whatever a perplexity may be', () => {
    const spread = emptySpread('perplexity')
    for (const value of [1, 4, 1_000_000]) addToSpread(spread, value, { measure: 'perplexity', threshold: 100 })
    expect(spread).toMatchObject({ answers: 3, over: 1 })
    expect(spread.buckets.reduce((sum, count) => sum + count, 0)).toBe(3)
    expect(describeSpread('perplexity', spread).p95).toBeGreaterThan(9_000)
  })
})
