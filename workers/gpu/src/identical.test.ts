import { flagSameAsPrevious } from '@forebay/plan'
import { eventually } from '@forebay/test-support'
import { afterEach, expect, it } from 'vitest'
import { type Bench, completion, idOfLine, line, makeBench, startFakeEngine } from './testing/bench.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function start(...args: Parameters<typeof startFakeEngine>) {
  const engine = await startFakeEngine(...args)
  cleanups.push(() => engine.stop())
  const bench = await makeBench({ FOREBAY_DRAIN_MS: '300' })
  cleanups.push(() => bench.stop())
  const worker = await bench.worker(engine.url)
  return { bench, engine, worker }
}
const sameAfterFirst = (i: number) => (i === 0 ? 0 : flagSameAsPrevious)
const byLine = (bench: Bench) => [...bench.results].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))

it('asks the engine once for 1,000 lines of one body, and answers each under its own ids', async () => {
  const { bench, engine } = await start((_, res) => res.end(completion('the answer')))
  await bench.release(
    Array.from({ length: 1000 }, (_, i) => line(`c${i}`, 'the same')),
    {},
    sameAfterFirst,
  )
  await eventually(() => bench.results.length === 1000, { what: 'all results' })
  await bench.settled('default.batch')
  expect(engine.seen).toHaveLength(1)
  for (const [i, result] of byLine(bench).entries()) {
    const output = JSON.parse(result.text ?? '')
    expect(output).toMatchObject({ id: idOfLine(i + 1), custom_id: `c${i}`, response: { request_id: idOfLine(i + 1) } })
    expect(output.response.body.choices[0].message.content).toBe('the answer')
    expect(result).toMatchObject({ outcome: 'succeeded', source: i === 0 ? 'engine' : 'identical', line: i + 1 })
    expect(result.usage).toMatchObject({ promptTokens: 3, completionTokens: 2 })
  }
  expect(bench.notes.filter((note) => note.state === 'returned')).toEqual([])
})

it('never lets one answer serve two bodies, whatever the plan says', async () => {
  const { bench, engine } = await start((seen, res) => res.end(completion(JSON.parse(seen.body).messages[0].content)))
  const contents = ['a', 'a', 'b', 'b', 'a']
  await bench.release(
    contents.map((content, i) => line(`${i}`, content)),
    {},
    sameAfterFirst,
  )
  await eventually(() => bench.results.length === 5, { what: 'all results' })
  const answers = byLine(bench).map((r) => JSON.parse(r.text ?? '').response.body.choices[0].message.content)
  expect(answers).toEqual(contents)
  expect(engine.seen).toHaveLength(3)
})

it('lets the lines that are the same share the failure of the one that ran', async () => {
  const { bench, engine } = await start((_, res) => res.writeHead(500).end('{"error":{"message":"boom"}}'))
  await bench.release([line('a', 'same'), line('b', 'same'), line('c', 'same')], {}, sameAfterFirst)
  await eventually(() => bench.results.length === 3, { what: 'all results' })
  expect(engine.seen).toHaveLength(3)
  expect(byLine(bench).map((r) => [r.outcome, r.statusCode, r.source])).toEqual([
    ['failed', 500, 'engine'],
    ['failed', 500, 'identical'],
    ['failed', 500, 'identical'],
  ])
})

it('hands back the lines that wait for an answer together with the one that runs', async () => {
  const { bench, engine, worker } = await start(() => undefined)
  const job = await bench.release([line('a', 'same'), line('b', 'same')], {}, sameAfterFirst)
  await eventually(() => engine.seen.length === 1, { what: 'the request at the engine' })
  await worker.stop()
  expect(bench.results).toEqual([])
  await eventually(() => bench.notes.some((note) => note.state === 'returned' && note.attempt === job.attempt), {
    what: 'the chunk handed back',
  })
})
