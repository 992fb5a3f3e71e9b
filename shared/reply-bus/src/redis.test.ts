import type { ReplyFrame } from '@forebay/contracts'
import { silentLogger } from '@forebay/kernel'
import { eventually, redisUrl } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { makeRedisReplyBus } from './redis.ts'

const frames = (requestId: string): ReplyFrame[] => [
  { type: 'accepted', requestId, attempt: 1, seq: 0, workerId: 'worker' },
  { type: 'head', requestId, attempt: 1, seq: 1, status: 200, contentType: 'application/json' },
  { type: 'data', requestId, attempt: 1, seq: 2, text: '{}' },
  { type: 'end', requestId, attempt: 1, seq: 3, usage: null },
]

it('delivers the frames of each inbox in the order sent, also those sent just before it stops', async () => {
  const worker = makeRedisReplyBus({ url: redisUrl(), logger: silentLogger })
  const gateway = makeRedisReplyBus({ url: redisUrl(), logger: silentLogger })
  try {
    const heard: Record<string, ReplyFrame[]> = { a: [], b: [] }
    for (const inbox of ['a', 'b']) await gateway.receive(inbox, (frame) => heard[inbox]?.push(frame))
    const sent = frames('first').flatMap((frame) => [worker.send('a', frame), worker.send('b', frame)])
    await Promise.all(sent)
    for (const frame of frames('second')) void worker.send('a', frame)
    await worker.stop()
    await eventually(() => heard['a']?.length === 8 && heard['b']?.length === 4, { what: 'all frames' })
    expect(heard).toEqual({ a: [...frames('first'), ...frames('second')], b: frames('first') })
  } finally {
    await Promise.all([worker.stop(), gateway.stop()])
  }
})
