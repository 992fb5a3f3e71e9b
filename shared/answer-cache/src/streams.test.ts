import { describe, expect, it } from 'vitest'
import { checkAnswer, readUsage } from './answer.ts'
import { assembleStream } from './assemble-stream.ts'
import { replayStream } from './replay-stream.ts'

const chat = '/v1/chat/completions'
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
const answer = {
  id: 'c1',
  object: 'chat.completion',
  created: 7,
  model: 'm',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello there', reasoning_content: 'hm' },
      logprobs: { content: [{ token: 'Hello' }, { token: ' there' }] },
      finish_reason: 'stop',
    },
    {
      index: 1,
      message: {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
          { id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } },
        ],
      },
      logprobs: null,
      finish_reason: 'tool_calls',
    },
  ],
  usage,
}

const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const piece = (choice: object) =>
  event({ id: 'c1', object: 'chat.completion.chunk', created: 7, model: 'm', choices: [choice] })
const pieces = [
  piece({ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }),
  piece({ index: 0, delta: { reasoning_content: 'hm' }, finish_reason: null }),
  piece({
    index: 1,
    delta: {
      role: 'assistant',
      tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }],
    },
  }),
  piece({ index: 0, delta: { content: 'Hello' }, logprobs: { content: [{ token: 'Hello' }] } }),
  piece({ index: 1, delta: { tool_calls: [{ index: 0, function: { arguments: '{"x":' } }] } }),
  piece({ index: 0, delta: { content: ' there' }, logprobs: { content: [{ token: ' there' }] } }),
  piece({ index: 1, delta: { tool_calls: [{ index: 0, function: { arguments: '1}' } }] } }),
  piece({
    index: 1,
    delta: { tool_calls: [{ index: 1, id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } }] },
  }),
  piece({ index: 0, delta: {}, finish_reason: 'stop', stop_reason: null }),
  piece({ index: 1, delta: {}, finish_reason: 'tool_calls' }),
  event({ id: 'c1', choices: [], usage }),
  'data: [DONE]\n\n',
]

describe('a stream', () => {
  it('is put together to the answer it would have been unstreamed', () => {
    expect(JSON.parse(assembleStream(chat, pieces.join('')) ?? '')).toEqual(answer)
  })

  it('of completions is, too', () => {
    const text = (choice: object) =>
      event({ id: 'x', object: 'text_completion', created: 1, model: 'm', choices: [choice] })
    const sent = [
      text({ index: 0, text: 'a' }),
      text({ index: 0, text: 'b', finish_reason: 'length' }),
      event({ choices: [], usage }),
      'data: [DONE]\n\n',
    ]
    const whole = JSON.parse(assembleStream('/v1/completions', sent.join('')) ?? '')
    expect(whole.choices).toEqual([{ index: 0, text: 'ab', logprobs: null, finish_reason: 'length' }])
  })

  it('that broke off, failed, told no usage or holds what is not known is not put together', () => {
    const bad = [
      pieces.slice(0, -1),
      pieces.filter((text) => !text.includes('"usage"')),
      [...pieces.slice(0, 3), event({ error: { message: 'x' }, choices: [] }), ...pieces.slice(3)],
      [...pieces.slice(0, 3), piece({ index: 0, delta: { audio: { data: 'x' } } }), ...pieces.slice(3)],
      [...pieces.slice(0, 3), piece({ index: 0, delta: {}, novelty: 1 }), ...pieces.slice(3)],
      [],
    ]
    for (const events of bad) expect(assembleStream(chat, events.join(''))).toBeUndefined()
  })

  it('replayed is the same answer again, with its usage if that was asked for', () => {
    const replayed = replayStream(chat, JSON.stringify(answer), { includeUsage: true }) ?? ''
    expect(JSON.parse(assembleStream(chat, replayed) ?? '')).toEqual(answer)
    const bare = replayStream(chat, JSON.stringify(answer), { includeUsage: false }) ?? ''
    expect(bare).not.toContain('usage')
    expect(bare.endsWith('data: [DONE]\n\n')).toBe(true)
  })
})

describe('an answer', () => {
  const check = (change: object, choices = 1) =>
    checkAnswer(chat, JSON.stringify({ choices: [{ finish_reason: 'stop' }], ...change }), { choices })

  it('is kept when every choice asked for came to its end', () => {
    expect(check({})).toBeUndefined()
    expect(check({ choices: [{ finish_reason: 'length' }] })).toBeUndefined()
    expect(check({}, 2)).toBe('incomplete')
    expect(check({ choices: [] })).toBe('incomplete')
    for (const reason of [null, 'abort', 'error', undefined])
      expect(check({ choices: [{ finish_reason: reason }] })).toBe('incomplete')
  })

  it('is not kept when it is an error, was filtered or is no JSON', () => {
    expect(check({ error: { message: 'x' } })).toBe('incomplete')
    expect(check({ choices: [{ finish_reason: 'content_filter' }] })).toBe('flagged')
    expect(checkAnswer(chat, '{"choices"', { choices: 1 })).toBe('not_json')
    expect(checkAnswer('/v1/embeddings', '{"data":[]}', { choices: 1 })).toBe('incomplete')
  })

  it('tells its usage; cached tokens not stated stay unknown', () => {
    expect(readUsage(JSON.stringify(answer))).toEqual({
      promptTokens: 3,
      cachedTokens: null,
      completionTokens: 2,
      reasoningTokens: 0,
    })
    expect(readUsage('{"usage":{"prompt_tokens":3.5}}')).toBeUndefined()
  })
})
