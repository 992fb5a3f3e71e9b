import { type BatchError, batchRequestId } from '@forebay/contracts'
import { decodePlanEntries } from '@forebay/plan'
import { type AliasRule, resolveAlias } from '@forebay/router'
import { describe, expect, test } from 'vitest'
import { aliasedLines } from './aliased-lines.ts'
import { type PlanRules, planBatch } from './plan-batch.ts'

const rules: PlanRules = {
  endpoint: '/v1/chat/completions',
  knowsModel: (model) => model === 'm' || model === 'm2',
  maxLineBytes: 4096,
  maxBatchRequests: 5000,
  chunkRequests: 64,
  chunkTokens: 65_536,
  runIdenticalOnce: true,
  cacheTokens: () => 100_000,
}

const request = (customId: string, more: Record<string, unknown> = {}, content = 'hello') => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'm', messages: [{ role: 'user', content }], ...more },
})
const file = (...lines: (string | object)[]) =>
  Buffer.from(lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''))

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
const plan = (bytes: Buffer, more: Partial<PlanRules> = {}, pieceBytes = 1000) =>
  planBatch({ input: pieces(bytes, pieceBytes), rules: { ...rules, ...more } })

async function faultsOf(bytes: Buffer, more: Partial<PlanRules> = {}): Promise<BatchError[]> {
  const outcome = await plan(bytes, more)
  return outcome.valid ? [] : outcome.errors
}

const without = (name: string) => Object.fromEntries(Object.entries(request('a')).filter(([key]) => key !== name))
const deep = `{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[${'['.repeat(62)}${']'.repeat(62)}]}}`

const faultTable: [
  name: string,
  line: string | object,
  code: string,
  param: string | null,
  message: string | RegExp,
][] = [
  ['not JSON', '{"a":', 'invalid_json_line', null, 'This line is not parseable as valid JSON.'],
  ['not an object', '[1]', 'invalid_json_line', null, 'This line is not parseable as valid JSON.'],
  ['too deep', deep, 'invalid_request', null, 'This line is nested deeper than 64 levels.'],
  ['too long', request('a', {}, 'x'.repeat(4096)), 'invalid_request', null, /^This line is 4\d+ bytes long/],
  [
    'no custom_id',
    without('custom_id'),
    'missing_required_parameter',
    'custom_id',
    "Missing required parameter: 'custom_id'.",
  ],
  ['no method', without('method'), 'missing_required_parameter', 'method', "Missing required parameter: 'method'."],
  ['no url', without('url'), 'missing_required_parameter', 'url', "Missing required parameter: 'url'."],
  ['no body', without('body'), 'missing_required_parameter', 'body', "Missing required parameter: 'body'."],
  [
    'custom_id a number',
    { ...request('a'), custom_id: 7 },
    'invalid_type',
    'custom_id',
    "Invalid type for 'custom_id': expected a string, but got an integer instead.",
  ],
  ['custom_id empty', request(''), 'invalid_value', 'custom_id', /1 to 512 characters, but got 0/],
  ['custom_id too long', request('x'.repeat(513)), 'invalid_value', 'custom_id', /1 to 512 characters, but got 513/],
  ['custom_id with NUL', request('a\0b'), 'invalid_value', 'custom_id', /NUL/],
  ['a body with a lone surrogate', request('a', { user: '\ud800' }), 'invalid_value', 'body', /surrogate/],
  ['custom_id with a lone surrogate', request('a\ud800'), 'invalid_value', 'custom_id', /surrogates/],
  [
    'method GET',
    { ...request('a'), method: 'GET' },
    'invalid_value',
    'method',
    "Invalid value: 'GET'. Supported values are: 'POST'.",
  ],
  [
    'another url',
    { ...request('a'), url: '/v1/embeddings' },
    'invalid_url',
    'url',
    'The URL provided for this request does not match the batch endpoint.',
  ],
  [
    'body a list',
    { ...request('a'), body: [] },
    'invalid_type',
    'body',
    "Invalid type for 'body': expected an object, but got an array instead.",
  ],
  ['no model', request('a', { model: undefined }), 'invalid_request', 'body.model', 'Model parameter is required.'],
  [
    'no messages',
    request('a', { messages: undefined }),
    'invalid_request',
    'body.messages',
    'Messages parameter is required.',
  ],
  [
    'messages a string',
    request('a', { messages: 'hi' }),
    'invalid_type',
    'body.messages',
    /expected an array, but got a string/,
  ],
  [
    'model unknown',
    request('a', { model: 'gpt\0x' }),
    'model_not_found',
    'body.model',
    "The provided model 'gpt\ufffdx' is not supported by the Batch API.",
  ],
  [
    'stream',
    request('a', { stream: true }),
    'streaming_unsupported',
    'body.stream',
    'Chat Completions: Streaming is not supported in the Batch API.',
  ],
]

describe('planBatch: faults', () => {
  test.each(faultTable)('%s is a fault with its code, parameter and text', async (_, line, code, param, message) => {
    const text = typeof message === 'string' ? message : expect.stringMatching(message)
    expect(await faultsOf(file(request('first'), line))).toEqual([{ line: 2, code, param, message: text }])
  })

  test('a duplicate custom_id and a second model are faults of the later line', async () => {
    const faults = await faultsOf(file(request('a'), request('b', { model: 'm2' }), request('a')))
    expect(faults).toEqual([
      { line: 2, code: 'mismatched_model', param: 'body.model', message: expect.stringContaining("The model 'm2'") },
      {
        line: 3,
        code: 'duplicate_custom_id',
        param: 'custom_id',
        message: expect.stringContaining("custom_id 'a' for"),
      },
    ])
  })

  test('bytes that are not UTF-8 are a fault of their line only', async () => {
    const bad = Buffer.concat([file(request('a')), Buffer.from([0x7b, 0xff, 0x7d, 0x0a]), file(request('b'))])
    expect(await faultsOf(bad)).toEqual([expect.objectContaining({ line: 2, code: 'invalid_json_line' })])
  })

  test('every fault of every line is found, in line order, with physical line numbers', async () => {
    const faults = await faultsOf(file(request('a'), '', '{', { custom_id: 'b', body: {} }, request('c'), '', ''))
    expect(faults.map(({ line, param }) => [line, param])).toEqual([
      [2, null],
      [3, null],
      [4, 'method'],
      [4, 'url'],
      [4, 'body.messages'],
      [4, 'body.model'],
    ])
  })

  test('an empty file, and one of blank lines, is a fault of the file', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('\n \r\n\n')]) {
      expect(await faultsOf(bytes)).toEqual([expect.objectContaining({ code: 'empty_file', line: null })])
    }
  })

  test('more requests than allowed stop the reading', async () => {
    const faults = await faultsOf(file(request('a'), request('b'), request('c'), '{'), { maxBatchRequests: 2 })
    expect(faults).toEqual([expect.objectContaining({ line: null, message: expect.stringContaining('more than 2') })])
  })

  test('the list of faults is capped and says how many are missing', async () => {
    const faults = await faultsOf(file(...Array.from({ length: 25 }, () => '{')), { faultsMax: 10 })
    expect(faults).toHaveLength(11)
    expect(faults.at(-1)).toMatchObject({ code: 'too_many_errors', message: expect.stringContaining('15 more') })
  })

  test('completions and embeddings are held to their own parameters', async () => {
    const line = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: 'm' } }
    expect(await faultsOf(file(line), { endpoint: '/v1/embeddings' })).toEqual([
      { line: 1, code: 'invalid_request', param: 'body.input', message: 'Input parameter is required.' },
    ])
    const completion = { ...line, url: '/v1/completions', body: { model: 'm', prompt: 3 } }
    expect(await faultsOf(file(completion), { endpoint: '/v1/completions' })).toEqual([
      expect.objectContaining({ code: 'invalid_type', param: 'body.prompt' }),
    ])
  })
})

describe('planBatch: the plan', () => {
  test.each([1, 7, 4096])(
    'entries name exactly the bytes of their lines, read in pieces of %i bytes',
    async (pieceBytes) => {
      const bytes = Buffer.concat([
        Buffer.from([0xef, 0xbb, 0xbf]),
        Buffer.from(`${JSON.stringify(request('a', {}, 'x\u2028y'))}\r\n`),
        Buffer.from(JSON.stringify(request('b', {}, 'é\r'))),
      ])
      const outcome = await plan(bytes, {}, pieceBytes)
      if (!outcome.valid) throw new Error(JSON.stringify(outcome.errors))
      const read = decodePlanEntries(outcome.plan).map(({ offset, length, line }) => {
        const parsed: { custom_id: string } = JSON.parse(bytes.subarray(offset, offset + length).toString())
        return [line, parsed.custom_id]
      })
      expect(read).toEqual([
        [1, 'a'],
        [2, 'b'],
      ])
    },
  )

  test('1,000 lines come back whole, in chunks within both limits', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) =>
      request(`id-${i}`, { max_tokens: 10 + (i % 90) }, `question ${i}`),
    )
    const bytes = file(...lines)
    const outcome = await plan(bytes, { chunkRequests: 20, chunkTokens: 1500 })
    if (!outcome.valid) throw new Error(JSON.stringify(outcome.errors))
    const entries = decodePlanEntries(outcome.plan)
    expect(outcome).toMatchObject({ model: 'm', total: 1000 })
    expect(entries.map((entry) => entry.line)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
    expect(entries.reduce((sum, entry) => sum + entry.estTokens, 0)).toBe(outcome.estTokens)
    const { chunks } = outcome
    expect(chunks.entries.reduce((sum, n) => sum + n, 0)).toBe(1000)
    expect(Math.max(...chunks.entries)).toBeLessThanOrEqual(20)
    expect(Math.max(...chunks.estTokens)).toBeLessThanOrEqual(1500)
    chunks.firstEntry.forEach((first, i) => {
      expect(first).toBe(i === 0 ? 0 : (chunks.firstEntry[i - 1] ?? 0) + (chunks.entries[i - 1] ?? 0))
    })
  })

  test('requests that share a prefix are neighbours of one group, the rest stay in file order', async () => {
    const shared = (name: string, tail: string) => `${name.repeat(300)} ${tail}`
    const contents = [shared('a', '1'), 'short', shared('b', '1'), shared('a', '2'), shared('b', '2'), shared('c', '1')]
    const outcome = await plan(file(...contents.map((content, i) => request(`${i}`, {}, content))))
    if (!outcome.valid) throw new Error(JSON.stringify(outcome.errors))
    const entries = decodePlanEntries(outcome.plan)
    expect(entries.map((entry) => entry.line)).toEqual([1, 4, 2, 3, 5, 6])
    const groups = entries.map((entry) => entry.prefixGroup)
    expect(groups[0]).toBe(groups[1])
    expect(groups[3]).toBe(groups[4])
    expect(groups[0]).not.toBe(groups[3])
    expect([groups[2], groups[5]]).toEqual([0, 0])
  })

  describe('requests with the same body', () => {
    const flagsOf = async (lines: object[], more: Partial<PlanRules> = {}) => {
      const outcome = await plan(file(...lines), more)
      if (!outcome.valid) throw new Error(JSON.stringify(outcome.errors))
      const entries = decodePlanEntries(outcome.plan).map(({ flags, line }) => [line, flags])
      return { entries, chunks: outcome.chunks }
    }
    const same = { temperature: 0 }

    test('follow the first of them at once, flagged, wherever they stand in the file', async () => {
      const lines = ['x', 'y', 'x', 'z', 'y', 'x'].map((content, i) => request(`${i}`, same, content))
      const { entries } = await flagsOf(lines)
      expect(entries).toEqual([
        [1, 0],
        [3, 1],
        [6, 1],
        [2, 0],
        [5, 1],
        [4, 0],
      ])
    })

    test.each<[string, object, Partial<PlanRules>, boolean]>([
      ['at temperature 0', { temperature: 0 }, {}, true],
      ['with a seed', { seed: 7, temperature: 1 }, {}, true],
      ['at no temperature named', {}, {}, false],
      ['at temperature 0.2', { temperature: 0.2 }, {}, false],
      ['when they are to be run each', { temperature: 0 }, { runIdenticalOnce: false }, false],
    ])('are run once %s: %o', async (_, more, rulesMore, once) => {
      const { entries } = await flagsOf([request('a', { ...more }), request('b', { ...more })], rulesMore)
      expect(entries).toEqual([
        [1, 0],
        [2, once ? 1 : 0],
      ])
    })

    test('are run once when they are embeddings, whatever they say', async () => {
      const embedding = (id: string) => ({ ...request(id), url: '/v1/embeddings', body: { model: 'm', input: 'text' } })
      const { entries } = await flagsOf([embedding('a'), embedding('b')], { endpoint: '/v1/embeddings' })
      expect(entries).toEqual([
        [1, 0],
        [2, 1],
      ])
    })

    test('are not the same when a byte of the body differs', async () => {
      const spaced = JSON.stringify(request('b', same)).replace('"temperature":0', '"temperature": 0')
      const outcome = await plan(file(request('a', same), spaced))
      if (!outcome.valid) throw new Error(JSON.stringify(outcome.errors))
      expect(decodePlanEntries(outcome.plan).map(({ flags }) => flags)).toEqual([0, 0])
    })

    test('count for neither limit of a chunk; a chunk that begins with one of them runs it', async () => {
      const lines = Array.from({ length: 5000 }, (_, i) =>
        request(`${i}`, same, i % 100 === 99 ? `other ${i}` : 'the same'),
      )
      const { entries, chunks } = await flagsOf(lines, { chunkRequests: 8 })
      expect(chunks.entries.slice(0, 2)).toEqual([4096, 4950 - 4096 + 7])
      const firsts = chunks.firstEntry.map((at) => entries[at]?.[1])
      expect(firsts).toEqual(firsts.map(() => 0))
      expect(entries.filter(([, flags]) => flags === 0)).toHaveLength(52)
      expect(Math.max(...chunks.estTokens)).toBeLessThan(8 * 400)
    })
  })

  test('an aborted plan stops with the reason', async () => {
    const reason = new Error('stopping')
    const input = pieces(file(request('a')), 10)
    await expect(planBatch({ input, rules, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('planBatch: aliases', () => {
  const rule = (to: Record<string, number>, when: AliasRule['when'] = {}, alias = 'chat'): AliasRule => ({
    ...{ alias, to, when },
  })
  const aliased = (routes: AliasRule[], endpoint: PlanRules['endpoint'] = rules.endpoint) =>
    aliasedLines({ rules: routes, batch: { id: 'batch_1', tenantId: 'acme', endpoint }, knowsModel: rules.knowsModel })
  const chat = (id: string, more = {}) => request(id, { model: 'chat', ...more })

  test('a split gives each line its model, the same in every plan; a chunk is of one model, identical lines too', async () => {
    const lines = Array.from({ length: 300 }, (_, i) => chat(`l${i}`, { seed: 1 }))
    const more = aliased([rule({ m: 70, m2: 30 })])
    const outcome = await plan(file(...lines), more)
    if (!outcome.valid) throw new Error(JSON.stringify(outcome.errors))
    expect(outcome).toMatchObject({ model: 'chat', total: 300, identical: 298 })
    expect(await plan(file(...lines), more)).toEqual(outcome)
    const share = outcome.parts.find(({ model }) => model === 'm2')?.requests ?? 0
    expect(share).toBeGreaterThan(60)
    expect(share).toBeLessThan(120)
    expect(outcome.parts.reduce((sum, { estTokens }) => sum + estTokens, 0)).toBe(outcome.estTokens)
    const { entries, firstEntry, model } = outcome.chunks
    const seen = new Set<number>()
    for (const [i, first] of firstEntry.entries()) {
      for (const { line } of decodePlanEntries(outcome.plan).slice(first, first + (entries[i] ?? 0))) {
        seen.add(line)
        const splitKey = batchRequestId('batch_1', line)
        const asked = { model: 'chat', tenantId: 'acme', endpoint: rules.endpoint, estTokens: 0, splitKey }
        expect(model[i]).toBe(resolveAlias([rule({ m: 70, m2: 30 })], asked).model)
      }
    }
    expect(seen.size).toBe(300)
  })

  test('a rule by size, tenant and endpoint decides line by line; other names stand for themselves', async () => {
    const routes = [rule({ m2: 1 }, { minTokens: 1_000, tenants: ['acme'] }), rule({ m: 1 })]
    const outcome = await plan(file(chat('a'), chat('b', { max_tokens: 2_000 })), aliased(routes))
    expect(outcome).toMatchObject({ parts: [expect.objectContaining({ model: 'm' }), { model: 'm2', requests: 1 }] })
    expect(await plan(file(request('a')), aliased(routes))).toMatchObject({ model: 'm', parts: [{ model: 'm' }] })
  })

  test('that no rule holds for, or that stands for a model that no pool serves, is a fault of its line', async () => {
    const embeddings = rule({ m: 1 }, { endpoints: ['/v1/embeddings'] })
    expect(await faultsOf(file(chat('a'), chat('b')), aliased([embeddings]))).toEqual(
      [1, 2].map((line) => ({
        ...{ line, code: 'model_not_found', param: 'body.model' },
        message: expect.stringMatching(
          /^The model 'chat' is an alias, and no rule of it holds for a request of \d+ tokens .* to \/v1\/chat\/completions\.$/,
        ),
      })),
    )
    expect(await faultsOf(file(chat('a')), aliased([rule({ gone: 1 })]))).toMatchObject([
      { message: "The model 'chat' stands for 'gone' here, which no pool serves." },
    ])
  })
})
