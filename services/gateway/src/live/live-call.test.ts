import type { ReplyFrame } from '@forebay/contracts'
import { ForebayError } from '@forebay/kernel'
import { describe, expect, it } from 'vitest'
import { LiveCall } from './live-call.ts'

const startMs = 1_000_000
const never = Number.NEGATIVE_INFINITY
const heard = (heardMs: number) => ({ heardMs, lostMs: never })

function start(deadlineMs = startMs + 60_000, other?: string) {
  const done: string[] = []
  const call = new LiveCall({
    requestId: 'r',
    pool: 'p',
    nowMs: startMs,
    deadlineMs,
    actions: {
      send: (attempt) => done.push(`send ${attempt}`),
      cancel: (attempt) => done.push(`cancel ${attempt}`),
      lost: (attempt, reason) => done.push(`lost ${attempt} ${reason}`),
      otherPool: (pool) => (pool === 'p' ? other : undefined),
    },
  })
  const frame = (attempt: number, seq: number, type: 'accepted' | 'alive' | 'data' = 'alive'): ReplyFrame => ({
    ...{ requestId: 'r', attempt, seq },
    ...(type === 'accepted' ? { type, workerId: 'w' } : type === 'data' ? { type, text: 'x' } : { type }),
  })
  return { call, done, frame }
}

describe('a call whose worker falls silent for 5 s', () => {
  it('goes to another, at most three times, then fails', async () => {
    const { call, done, frame } = start()
    let nowMs = startMs
    for (const attempt of [1, 2, 3]) {
      call.take(frame(attempt, 0, 'accepted'), nowMs)
      call.take(frame(attempt, 1), nowMs + 4_000)
      call.check(nowMs + 8_999, heard(nowMs))
      expect(call.attempt).toBe(attempt)
      nowMs += 9_000
      call.check(nowMs, heard(nowMs))
    }
    expect(done).toEqual([
      ...['cancel 1', 'lost 1 silent', 'send 2'],
      ...['cancel 2', 'lost 2 silent', 'send 3'],
      ...['cancel 3', 'lost 3 silent'],
    ])
    expect(await call.next()).toEqual({ type: 'restart' })
    await expect(call.next()).rejects.toMatchObject({ code: 'engine_error', status: 502 })
  })

  it('fails at once when the client has seen a byte', async () => {
    const { call, done, frame } = start()
    call.take(frame(1, 0, 'accepted'), startMs)
    call.take(frame(1, 1, 'data'), startMs)
    await call.next()
    call.commit()
    call.check(startMs + 5_000, heard(startMs))
    await expect(call.next()).rejects.toMatchObject({ code: 'engine_error' })
    expect(done).toEqual(['cancel 1', 'lost 1 silent'])
  })
})

describe('a call that no worker accepts', () => {
  it('is refused with Retry-After 5 s after the last sign of a worker of its pool', async () => {
    const { call, done } = start()
    call.check(startMs + 4_999, heard(never))
    expect(call.over).toBe(false)
    call.check(startMs + 5_000, heard(startMs + 1_000))
    expect(call.over).toBe(false)
    call.check(startMs + 6_000, heard(startMs + 1_000))
    await expect(call.next()).rejects.toMatchObject({ code: 'overloaded', status: 503, retryAfterMs: 5_000 })
    expect(done).toEqual(['cancel 1'])
  })

  it('waits till its deadline while workers live; of one that runs too long the worker has the last word', async () => {
    const queued = start()
    queued.call.check(startMs + 60_000, heard(startMs + 60_000))
    await expect(queued.call.next()).rejects.toMatchObject({ code: 'overloaded', status: 503 })
    const running = start()
    running.call.take(running.frame(1, 0, 'accepted'), startMs + 59_000)
    running.call.check(startMs + 60_499, heard(startMs + 60_000))
    expect(running.call.over).toBe(false)
    running.call.check(startMs + 60_500, heard(startMs + 60_000))
    await expect(running.call.next()).rejects.toMatchObject({ code: 'engine_timeout', status: 504 })
  })
})

describe('a call of a pool that lost a worker', () => {
  it('goes to another worker when the lost one may have had it, and once only', () => {
    const { call, done, frame } = start()
    const look = (ms: number, lostMs: number) =>
      call.check(startMs + ms, { heardMs: startMs + ms, lostMs: startMs + lostMs })
    look(4_000, -1)
    expect(done).toEqual([])
    look(4_000, 0)
    look(4_250, 0)
    look(6_000, 3_999)
    expect(done).toEqual(['cancel 1', 'lost 1 silent', 'send 2'])
    // Another has it.
    call.take(frame(2, 0, 'accepted'), startMs + 6_000)
    look(10_000, 5_000)
    expect(done).toHaveLength(3)
  })
})

it('takes no frame of another attempt, nor any once it is over', () => {
  const { call, frame } = start()
  expect(call.take(frame(2, 0), startMs)).toBe(false)
  expect(call.take(frame(1, 0), startMs)).toBe(true)
  call.cancel(new ForebayError('client_closed', 'gone'))
  expect(call.take(frame(1, 1), startMs)).toBe(false)
})

describe('a call whose pool fails it', () => {
  it('goes to another pool when no worker of its own is heard of for 5 s', async () => {
    const { call, done } = start(undefined, 'q')
    call.check(startMs + 4_999, heard(never))
    expect(done).toEqual([])
    call.check(startMs + 5_000, heard(never))
    expect(done).toEqual(['cancel 1', 'lost 1 pool', 'send 2'])
    expect(call.pool).toBe('q')
    call.check(startMs + 10_000, heard(never))
    expect(await call.next()).toEqual({ type: 'restart' })
    await expect(call.next()).rejects.toMatchObject({ code: 'overloaded' })
  })

  it('goes to another pool when its engine is down, and fails when there is none', async () => {
    const down = (attempt: number): ReplyFrame => ({
      ...{ type: 'error', requestId: 'r', attempt, seq: 0, status: 503, code: 'unavailable', message: 'Down.' },
    })
    const { call, done } = start(undefined, 'q')
    call.take(down(1), startMs)
    expect([call.pool, call.attempt, done.at(-1)]).toEqual(['q', 2, 'send 2'])
    call.take(down(2), startMs)
    expect(await call.next()).toEqual({ type: 'restart' })
    await expect(call.next()).rejects.toMatchObject({ code: 'unavailable', message: 'Down.' })
  })
})
