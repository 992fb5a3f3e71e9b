import type { Answer } from '@forebay/answer-cache'
import { silentLogger, systemClock } from '@forebay/kernel'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeEmbedder, similarityOf } from './embedder.ts'
import { readQuestion, readSaid } from './question.ts'
import { tellApart } from './same-meaning.ts'
import { makeScanIndex } from './scan-index.ts'
import { SemanticCache } from './semantic-cache.ts'
import { ngramEmbedding, startEmbeddings } from './testing/ngram-embeddings.ts'
import { paraphrases, traps } from './traps.ts'
import { afterSample, type Trust, untried } from './trust.ts'
import type { TrustBook } from './trust-book.ts'

let server: Awaited<ReturnType<typeof startEmbeddings>>
beforeAll(async () => {
  server = await startEmbeddings()
})
afterAll(() => server.stop())

let serial = 0
function answerOf(content: string, over: object = {}): Answer {
  const usage = { promptTokens: 1, cachedTokens: null, completionTokens: 1, reasoningTokens: 0 }
  const choice = { index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', ...over }
  const text = JSON.stringify({ choices: [choice] })
  return { requestId: `req_${serial++}`, text, usage, modelVersion: '', storedAtMs: Date.now() }
}

/** A cache on the real embedder, with its trust in memory. */
function makeCache(options: { trust?: Trust; similarityMin?: number; sampleShare?: number } = {}) {
  const seen: string[] = []
  let state = options.trust ?? { state: 'serving', samples: 0, errors: 0 }
  const trust: TrustBook = {
    of: async () => state,
    sample: async (_tenant, _model, wrong) => (state = afterSample(state, wrong, { samplesMin: 5, errorBudget: 0.2 })),
  }
  const cache = new SemanticCache({
    ...{ clock: systemClock, logger: silentLogger, random: () => 0.5, trust },
    embedder: makeEmbedder({ url: server.url, model: 'ngram', timeoutMs: 10_000 }),
    index: makeScanIndex({ clock: systemClock, ttlMs: 60_000, bytesMax: 10_000_000 }),
    similarityMin: options.similarityMin ?? 0.6,
    sampleShare: options.sampleShare ?? 0,
    observer: {
      looked: (result) => seen.push(result),
      refused: (guard) => seen.push(`refused:${guard}`),
      sampled: (verdict) => seen.push(verdict),
      stopped: () => seen.push('stopped'),
    },
  })
  const ask = async (text: string, computed: Answer | undefined, tenantId = 'acme') => {
    const found = await cache.ask({ tenantId, model: 'm', hardKey: tenantId, text })
    if (typeof found !== 'function') return found
    found(computed)
    await cache.settled()
    return undefined
  }
  return { ask, cache, seen, state: () => state }
}

describe('a cache that serves', () => {
  it('answers no trap, however close it lies', async () => {
    const close = traps.map(([a, b]) => similarityOf(ngramEmbedding(a), ngramEmbedding(b)))
    // Else similarity alone would have caught them, and nothing is shown.
    expect(close.filter((similarity) => similarity >= 0.6).length).toBeGreaterThan(traps.length * 0.8)
    for (const [known, asked] of traps) {
      const { ask } = makeCache()
      await ask(known, answerOf('known'))
      expect(await ask(asked, undefined), asked).toBeUndefined()
    }
  })

  it('answers paraphrases, and says of which request and how close', async () => {
    for (const [known, asked] of paraphrases) {
      const { ask, seen } = makeCache()
      const answer = answerOf('known')
      await ask(known, answer)
      expect(await ask(asked, undefined), asked).toMatchObject({ answer: { requestId: answer.requestId } })
      expect(seen).toEqual(['miss', 'served'])
    }
  })

  it('answers nothing below its least similarity, of another hard key, or erased', async () => {
    const [known, asked] = ['What is the capital of France?', 'Please tell me what the capital of France is.']
    expect(tellApart(known, asked)).toBeUndefined()
    const strict = makeCache({ similarityMin: 0.99 })
    await strict.ask(known, answerOf('Paris'))
    expect(await strict.ask(asked, undefined)).toBeUndefined()
    const cache = makeCache()
    await cache.ask(known, answerOf('Paris'))
    expect(await cache.ask(known, undefined, 'other')).toBeUndefined()
    expect(await cache.ask(known, undefined)).toBeDefined()
    await cache.cache.eraseTenant('acme')
    expect(await cache.ask(known, undefined)).toBeUndefined()
  })

  it('keeps no answer that is partial, filtered, refused or calls a tool', async () => {
    const bad = [
      answerOf('x', { finish_reason: 'length' }),
      answerOf('x', { finish_reason: 'content_filter' }),
      answerOf('x', { message: { role: 'assistant', content: 'x', tool_calls: [{}] } }),
      answerOf('x', { message: { role: 'assistant', content: 'x', refusal: 'no' } }),
      answerOf(''),
      undefined,
    ]
    for (const answer of bad) {
      const { ask } = makeCache()
      await ask('hello there world', answer)
      expect(await ask('hello there world', undefined)).toBeUndefined()
    }
  })

  it('computes a share of its hits and stops by itself when too many differ', async () => {
    const { ask, seen, state } = makeCache({ sampleShare: 1 })
    await ask('hello there world', answerOf('one thing'))
    for (let i = 0; i < 9 && state().state !== 'stopped'; i++)
      await ask('hello there world', answerOf(`quite another thing, number ${i}`))
    expect(seen).toEqual(['miss', 'sampled', 'wrong', 'sampled', 'wrong', 'stopped'])
    expect(await ask('hello there world', undefined)).toBeUndefined()
  })

  it('computes while the embeddings endpoint fails', async () => {
    const { ask, seen } = makeCache()
    await ask('hello there world', answerOf('x'))
    server.fail = true
    expect(await ask('hello there world', undefined)).toBeUndefined()
    server.fail = false
    expect(seen.at(-1)).toBe('error')
    expect(await ask('hello there world', undefined)).toBeDefined()
  })
})

it('a new cache measures before it serves, and serves once it was right often enough', async () => {
  const { ask, seen, state } = makeCache({ trust: untried })
  await ask('hello there world', answerOf('Hello!'))
  for (let i = 0; i < 5; i++) {
    expect(state().state).toBe('shadow')
    expect(await ask('Hello there, world', answerOf(' hello '))).toBeUndefined()
  }
  expect(seen.filter((each) => each === 'right')).toHaveLength(5)
  expect(await ask('Hello there world!', undefined)).toBeDefined()
})

describe('a question', () => {
  const endpoint = '/v1/chat/completions'
  const body = {
    model: 'm',
    temperature: 0,
    messages: [
      { role: 'system', content: 's' },
      { role: 'user', content: 'q' },
    ],
  }
  const read = (change: object) => readQuestion({ endpoint, fields: { ...body, ...change } })

  it('is the last turn of the user; everything else must be equal', () => {
    expect(read({})?.text).toBe('q')
    const asked = (content: unknown) => [
      { role: 'system', content: 's' },
      { role: 'user', content },
    ]
    expect(read({ messages: asked('r') })?.hard).toBe(read({})?.hard)
    expect(read({ messages: asked([{ type: 'text', text: 'r' }]) })?.text).toBe('r')
    for (const change of [
      { model: 'n' },
      { tools: [1] },
      { max_tokens: 2 },
      { messages: [{ role: 'user', content: 'q' }] },
    ])
      expect(read(change)?.hard).not.toBe(read({})?.hard)
  })

  it('is none where similarity cannot tell', () => {
    const image = [{ type: 'image_url', image_url: { url: 'x' } }]
    const bad = [{ n: 2 }, { temperature: 1 }, { messages: [] }, { messages: [{ role: 'tool', content: 'x' }] }]
    for (const change of [...bad, { messages: [{ role: 'user', content: image }] }])
      expect(read(change)).toBeUndefined()
    expect(readQuestion({ endpoint: '/v1/completions', fields: { ...body, prompt: 'x' } })).toBeUndefined()
    expect(readSaid('no json')).toBeUndefined()
  })
})
