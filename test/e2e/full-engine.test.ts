import { eventually, startRedis } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { startPools } from './pools-harness.ts'

interface Answer {
  status: number
  retryAfter: string | null
  text: string
}

/* Gateway, Redis (queues and replies), worker and engine-sim, with several times more live requests than seats. */
it('live requests beyond what the engine can do by their deadlines get 503 with Retry-After, the others their answer; none hangs, nothing is left', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const plan = { name: 'small', queueUrl: redis.url, fixedMs: 500 }
  const harness = await startPools([plan], { redisUrl: redis.url, requestTimeoutMs: 3_000 })
  onTestFinished(() => harness.stop())
  await harness.ready()

  const ask = async (i: number): Promise<Answer> => {
    const response = await fetch(`${harness.url}/v1/chat/completions`, {
      method: 'POST',
      // Many times its deadline: a request that is not answered by then hangs.
      signal: AbortSignal.timeout(30_000),
      headers: { authorization: `Bearer ${harness.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'forebay-sim',
        max_tokens: 4,
        messages: [{ role: 'user', content: `Which river is number ${i}?` }],
      }),
    })
    return { status: response.status, retryAfter: response.headers.get('retry-after'), text: await response.text() }
  }
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(i)))
  const of = (status: number) => answers.filter((answer) => answer.status === status)
  expect(of(200).length).toBeGreaterThan(8)
  expect(of(503).length).toBeGreaterThan(8)
  expect(of(200).length + of(429).length + of(503).length).toBe(answers.length)
  for (const { text } of of(200)) expect(JSON.parse(text).choices).toHaveLength(1)
  for (const { retryAfter } of [...of(429), ...of(503)]) expect(Number(retryAfter)).toBeGreaterThan(0)

  const engine = harness.engines.get('small')
  await eventually(
    async () => {
      const [pool] = await harness.pools()
      const left = Object.values(pool?.depth ?? {}).reduce((sum, lane) => sum + lane.waiting + lane.in_flight, 0)
      return pool?.depth && left === 0 && engine?.running === 0 && engine.waiting === 0
    },
    { what: 'queues and engine to be empty' },
  )
  expect((await ask(1_000)).status).toBe(200)
}, 60_000)
