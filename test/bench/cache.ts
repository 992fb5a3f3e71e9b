import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import type { Running } from '@forebay/kernel'
import { Redis } from 'ioredis'
import { Agent } from 'undici'
import { environment, startEngine, startOnRedis, type Target } from './forebay.ts'
import { percentile, round } from './load.ts'

/** What a cache hit takes, over HTTP on one connection, beside a plain GET of the same bytes from the same Redis. */
export interface CacheHitFigures {
  cacheHitP50Ms: number
  cacheHitP99Ms: number
  redisGetP50Ms: number
  redisGetP99Ms: number
}

const warmUpRequests = 500

/** `npm run bench -- cache [--requests 3000]`. */
export async function run(args: readonly string[]): Promise<CacheHitFigures> {
  const { values } = parseArgs({ args: [...args], options: { requests: { type: 'string', default: '3000' } } })
  return measureCacheHits({ requests: Number(values.requests) })
}

/** Measures hits and GETs in turn, so that both see the same machine. Throws when a request was no hit. */
export async function measureCacheHits(options: { requests: number }): Promise<CacheHitFigures> {
  const started: Running[] = []
  try {
    const env = environment({})
    const engine = await startEngine(['--fixed-ms', '1'], env)
    started.unshift(engine)
    const target = await startOnRedis({ engineUrl: engine.url, env })
    started.unshift(target)
    return await measure(target, engine.model, options.requests)
  } finally {
    for (const part of started) await part.stop()
  }
}

async function measure(target: Target, model: string, requests: number): Promise<CacheHitFigures> {
  const agent = new Agent({ connections: 1, pipelining: 1 })
  const redis = new Redis(target.redisUrl)
  try {
    const body = JSON.stringify({
      model,
      temperature: 0,
      max_tokens: 64,
      messages: [{ role: 'user', content: 'Hello' }],
    })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${target.apiKey}` }
    const ask = async () => {
      const call = { origin: target.url, path: '/v1/chat/completions', method: 'POST', headers, body } as const
      const response = await agent.request(call)
      await response.body.text()
      return response.headers['x-forebay-cache']
    }
    const first = await ask()
    if (first !== 'miss') throw new Error(`the first request was a ${first}, not a miss`)
    for (let i = 0; i < warmUpRequests; i++) await ask()
    const [key] = await redis.keys('forebay:answer:*')
    if (key === undefined) throw new Error('the answer is not in Redis')
    const hits: number[] = []
    const gets: number[] = []
    for (let i = 0; i < requests; i++) {
      const startMs = performance.now()
      const seen = await ask()
      hits.push(performance.now() - startMs)
      if (seen !== 'hit') throw new Error(`request ${i} was a ${seen}, not a hit`)
      const getMs = performance.now()
      await redis.get(key)
      gets.push(performance.now() - getMs)
    }
    const at = (values: readonly number[], share: number) => round(percentile(values, share))
    return {
      cacheHitP50Ms: at(hits, 0.5),
      cacheHitP99Ms: at(hits, 0.99),
      redisGetP50Ms: at(gets, 0.5),
      redisGetP99Ms: at(gets, 0.99),
    }
  } finally {
    redis.disconnect()
    await agent.destroy()
  }
}
