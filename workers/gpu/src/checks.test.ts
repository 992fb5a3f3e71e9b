import { flagSameAsPrevious } from '@forebay/plan'
import { eventually } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { type Bench, completion, line, makeBench, startFakeEngine } from './testing/bench.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function start(...args: Parameters<typeof startFakeEngine>) {
  const engine = await startFakeEngine(...args)
  cleanups.push(() => engine.stop())
  const bench = await makeBench({ FOREBAY_DRAIN_MS: '300' })
  cleanups.push(() => bench.stop())
  await bench.worker(engine.url)
  return { bench, engine }
}
const done = async (bench: Bench, count: number) => {
  await eventually(() => bench.results.length === count, { what: 'all results' })
  await bench.settled('default.batch')
  return [...bench.results].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
}
const answerOf = (text: string | undefined) => JSON.parse(text ?? '').response.body.choices[0].message.content
/** An engine that answers with the prompt's words, one for each time that it is asked. */
const wordByWord: Parameters<typeof startFakeEngine>[0] = (seen, res, count) => {
  const words = JSON.parse(seen.body).messages[0].content.split(' ')
  res.end(completion(words[Math.min(count, words.length) - 1]))
}
const check = { regex: '^good$', max_retries: 2 }

it('asks again only for the lines that do not fit, and tells what the others took as discarded', async () => {
  const { bench, engine } = await start(wordByWord)
  await bench.release([line('a', 'good'), line('b', 'bad good'), line('c', 'bad worse good')], { check })
  const results = await done(bench, 3)
  expect(results.map(({ outcome, text }) => [outcome, answerOf(text)])).toEqual(
    results.map(() => ['succeeded', 'good']),
  )
  expect(engine.seen).toHaveLength(6)
  const usage = { promptTokens: 3, cachedTokens: null, completionTokens: 2, reasoningTokens: 0 }
  expect(results.map((result) => result.usage)).toEqual([usage, usage, usage])
  expect(results.map((result) => result.discarded)).toEqual([
    undefined,
    { answers: 1, promptTokens: 3, completionTokens: 2 },
    { answers: 2, promptTokens: 6, completionTokens: 4 },
  ])
})

it('sends the first attempt as it came, and a retry with a seed only where the client gave none', async () => {
  const { bench, engine } = await start(wordByWord)
  await bench.release([line('a', 'bad good'), line('b', 'bad good', { seed: 7 })], { check })
  await done(bench, 2)
  const bodies = (id: string) => engine.seen.filter((seen) => seen.requestId?.endsWith(id)).map((seen) => seen.body)
  const own = JSON.parse(line('a', 'bad good')).body
  expect(bodies('_1')).toEqual([JSON.stringify(own), `${JSON.stringify(own).slice(0, -1)},"seed":1}`])
  expect(bodies('_2').map((body) => JSON.parse(body).seed)).toEqual([7, 7])
})

it('ends a line that never fits as failed, with what failed and the last answer in the error line', async () => {
  const { bench, engine } = await start(wordByWord)
  const schema = { json_schema: { type: 'object', required: ['a'] }, max_retries: 1 }
  await bench.release([line('x', '{"b":1} {"c":1}')], { check: schema })
  const [result] = await done(bench, 1)
  expect(engine.seen).toHaveLength(2)
  expect(result).toMatchObject({ outcome: 'failed', errorCode: 'check_failed', statusCode: 200 })
  expect(result).toMatchObject({ usage: { completionTokens: 2 }, discarded: { answers: 1, completionTokens: 2 } })
  expect(JSON.parse(result?.text ?? '')).toMatchObject({
    custom_id: 'x',
    response: { status_code: 200, body: { choices: [{ message: { content: '{"c":1}' } }] } },
    error: {
      code: 'check_failed',
      message: "The answer does not fit the schema: must have required property 'a'.",
    },
  })
})

it('tells with each answer how much it repeats itself, and once for the lines that share it', async () => {
  const { bench } = await start((_, res) => res.end(completion('round and round it goes '.repeat(40))))
  await bench.release([line('a', 'same'), line('b', 'same')], {}, (i) => (i === 0 ? 0 : flagSameAsPrevious))
  const [one, other] = await done(bench, 2)
  expect(one?.quality?.repetition).toBeGreaterThan(0.9)
  expect(one?.quality?.perplexity).toBeNull()
  expect(other?.quality).toBeUndefined()
})

it('keeps the answer that it has when the engine will not run the line again', async () => {
  const { bench } = await start((_, res, count) => {
    if (count === 1) res.end(completion('bad'))
    else res.writeHead(count === 2 ? 500 : 400).end('{"error":{"message":"no seeds here"}}')
  })
  await bench.release([line('a', 'x')], { check })
  const [result] = await done(bench, 1)
  expect(result).toMatchObject({ outcome: 'failed', errorCode: 'check_failed', usage: { completionTokens: 2 } })
  expect(result?.discarded).toBeUndefined()
  expect(answerOf(result?.text)).toBe('bad')
})

it('gives the lines that are the same the answer that was kept, and what was discarded to one of them', async () => {
  const { bench, engine } = await start(wordByWord)
  const lines = ['a', 'b', 'c'].map((id) => line(id, 'bad good'))
  await bench.release(lines, { check }, (i) => (i === 0 ? 0 : flagSameAsPrevious))
  const results = await done(bench, 3)
  expect(engine.seen).toHaveLength(2)
  expect(results.map(({ source, text }) => [source, answerOf(text)])).toEqual([
    ['engine', 'good'],
    ['identical', 'good'],
    ['identical', 'good'],
  ])
  expect(results.map((result) => result.discarded?.answers)).toEqual([1, undefined, undefined])
})
