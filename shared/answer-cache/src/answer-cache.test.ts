import { ForebayError, ManualClock, silentLogger, systemClock } from '@forebay/kernel'
import { eventually, redisUrl } from '@forebay/test-support'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Answer } from './answer.ts'
import { AnswerCache } from './answer-cache.ts'
import { makeRedisAnswers } from './redis-answers.ts'
import type { SharedAnswers } from './shared-answers.ts'

const never = new AbortController().signal
const entry = (id: string, tenantId = 'acme') => ({ tenantId, id })
let serial = 0
const unique = () => `k${process.pid}-${serial++}`

function answerOf(text: string): Answer {
  const usage = { promptTokens: 1, cachedTokens: null, completionTokens: 1, reasoningTokens: 0 }
  return { requestId: 'req_1', text, usage, modelVersion: '', storedAtMs: Date.now() }
}

function makeCache(over: Partial<ConstructorParameters<typeof AnswerCache>[0]> = {}): AnswerCache {
  const cache = new AnswerCache({
    ...{ clock: systemClock, logger: silentLogger, shared: undefined, ttlMs: 60_000, onError: () => {} },
    ...{ memoryBytes: 1_000_000, entryBytesMax: 10_000, waitMs: 30_000 },
    ...over,
  })
  cache.start()
  onTestFinished(() => cache.stop())
  return cache
}

async function redis(): Promise<SharedAnswers> {
  const shared = makeRedisAnswers({ url: redisUrl(), logger: silentLogger })
  onTestFinished(() => shared.stop())
  await eventually(() => shared.claim(entry(unique()), { token: 't', leaseMs: 1 }), { what: 'Redis' })
  return shared
}

/** Runs one request to its end; `compute` counts as the engine. */
async function ask(cache: AnswerCache, id: string, compute: () => Promise<Answer>): Promise<string> {
  const turn = await cache.turn(entry(id), never)
  if (turn.kind === 'hit') return turn.answer.text
  const answer = await compute()
  if (turn.kind === 'lead') turn.finish({ kind: 'answer', answer })
  return answer.text
}

/** A computation that ends when it is allowed to. */
function heldComputation() {
  let computed = 0
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const compute = async () => {
    computed++
    await opened
    return answerOf('x')
  }
  return { compute, computed: () => computed, open }
}

describe('equal requests at the same time', () => {
  it('are computed once by one process', async () => {
    const cache = makeCache()
    const { compute, computed, open } = heldComputation()
    const asked = Promise.all(Array.from({ length: 100 }, () => ask(cache, 'k', compute)))
    open()
    expect([new Set(await asked), computed()]).toEqual([new Set(['x']), 1])
  })

  it('are computed once by several processes that share a Redis', async () => {
    let claims = 0
    const counted = (shared: SharedAnswers): SharedAnswers => ({
      ...shared,
      claim: async (...args) => {
        const claim = await shared.claim(...args)
        claims++
        return claim
      },
    })
    const caches = await Promise.all([1, 2, 3].map(async () => makeCache({ shared: counted(await redis()) })))
    const id = unique()
    const { compute, computed, open } = heldComputation()
    const asked = Promise.all(Array.from({ length: 99 }, (_, i) => ask(caches[i % 3] as AnswerCache, id, compute)))
    await eventually(() => claims >= 3, { what: 'every process to ask Redis while one computes' })
    open()
    expect([new Set(await asked), computed()]).toEqual([new Set(['x']), 1])
  })

  it('are computed by the next when the leader fails, and by all when there is nothing to keep', async () => {
    const cache = makeCache()
    const leader = await cache.turn(entry('k'), never)
    const second = cache.turn(entry('k'), never)
    if (leader.kind !== 'lead') throw new Error(leader.kind)
    leader.finish({ kind: 'failed' })
    const next = await second
    expect(next.kind).toBe('lead')
    const third = cache.turn(entry('k'), never)
    if (next.kind === 'lead') next.finish({ kind: 'unstorable' })
    expect((await third).kind).toBe('alone')
  })

  it('are computed by another process when the leader’s dies', async () => {
    const id = unique()
    const dead = await redis()
    // What a killed process leaves behind: a lease that nobody renews, here nearly over.
    await dead.claim(entry(id), { token: 'dead', leaseMs: 100 })
    const turn = await makeCache({ shared: await redis() }).turn(entry(id), never)
    expect(turn.kind).toBe('lead')
  })

  it('are not waited for longer than allowed, nor by a client that left', async () => {
    const clock = new ManualClock()
    const cache = makeCache({ clock, waitMs: 1_000 })
    await cache.turn(entry('k'), never)
    const patient = cache.turn(entry('k'), never)
    const leaving = new AbortController()
    const left = cache.turn(entry('k'), leaving.signal)
    leaving.abort()
    await expect(left).rejects.toMatchObject({ code: 'client_closed' })
    await clock.advance(1_000)
    expect((await patient).kind).toBe('alone')
  })
})

describe('an answer', () => {
  it('is served until its time is over, across processes', async () => {
    const id = unique()
    const [one, two] = [makeCache({ shared: await redis() }), makeCache({ shared: await redis() })]
    await ask(one, id, async () => answerOf('x'))
    // Until it is in Redis, `one` still holds the right to compute it, and `two` waits.
    expect((await two.turn(entry(id), never)).kind).toBe('hit')
    const late = makeCache({ ttlMs: 0 })
    await ask(late, id, async () => answerOf('x'))
    expect((await late.turn(entry(id), never)).kind).toBe('lead')
  })

  it('that is too large is given to who waited, and not kept', async () => {
    const cache = makeCache({ entryBytesMax: 1_000 })
    const leader = await cache.turn(entry('k'), never)
    const waiting = cache.turn(entry('k'), never)
    if (leader.kind === 'lead') leader.finish({ kind: 'answer', answer: answerOf('x'.repeat(1_000)) })
    expect((await waiting).kind).toBe('hit')
    expect((await cache.turn(entry('k'), never)).kind).toBe('lead')
  })

  it('makes room for others: memory is bounded', async () => {
    const cache = makeCache({ memoryBytes: 20_000 })
    for (let i = 0; i < 100; i++) await ask(cache, `k${i}`, async () => answerOf('x'.repeat(1_000)))
    expect(cache.bytes).toBeLessThanOrEqual(20_000)
    expect((await cache.turn(entry('k99'), never)).kind).toBe('hit')
  })

  it('of an erased tenant is gone here and in Redis; another tenant’s stays', async () => {
    const shared = await redis()
    const cache = makeCache({ shared })
    const [gone, stays] = [entry(unique(), unique()), entry(unique(), unique())]
    for (const each of [gone, stays]) {
      const turn = await cache.turn(each, never)
      if (turn.kind === 'lead') turn.finish({ kind: 'answer', answer: answerOf('x') })
    }
    const elsewhere = (each: typeof gone) => makeCache({ shared }).turn(each, never)
    expect([(await elsewhere(gone)).kind, (await elsewhere(stays)).kind]).toEqual(['hit', 'hit'])
    await cache.eraseTenant(gone.tenantId)
    expect((await cache.turn(gone, never)).kind).toBe('lead')
    expect((await elsewhere(stays)).kind).toBe('hit')
  })

  it('is computed, and kept in this process, while Redis cannot be reached', async () => {
    let errors = 0
    const broken = () => Promise.reject(new ForebayError('unavailable', 'down'))
    const shared = {
      claim: broken,
      renew: broken,
      put: broken,
      release: broken,
      eraseTenant: broken,
      stop: async () => {},
    }
    const cache = makeCache({ shared, onError: () => errors++ })
    expect(await ask(cache, 'k', async () => answerOf('x'))).toBe('x')
    expect((await cache.turn(entry('k'), never)).kind).toBe('hit')
    expect(errors).toBeGreaterThan(0)
  })
})

it('keeps an answer for no longer than its tenant wishes, also where nobody asks for it again', async () => {
  const clock = new ManualClock(Date.now())
  const cache = makeCache({ clock, ttlMs: 600_000 })
  const brief = { ...entry('brief'), ttlMs: 90_000 }
  for (const one of [brief, entry('long')]) {
    const turn = await cache.turn(one, never)
    if (turn.kind === 'lead') turn.finish({ kind: 'answer', answer: { ...answerOf('x'), storedAtMs: clock.now() } })
  }
  const both = cache.bytes
  await clock.advance(70_000)
  expect((await cache.turn(brief, never)).kind).toBe('hit')
  await clock.advance(60_000)
  expect(cache.bytes).toBe(both / 2)
  expect([(await cache.turn(brief, never)).kind, (await cache.turn(entry('long'), never)).kind]).toEqual([
    'lead',
    'hit',
  ])
})
