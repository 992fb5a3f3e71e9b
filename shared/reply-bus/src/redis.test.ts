import type { ReplyFrame } from '@forebay/contracts'
import { silentLogger } from '@forebay/kernel'
import { eventually, redisUrl } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { makeOutbox } from './outbox.ts'
import { parseFrames } from './parse-frames.ts'
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

it('sends what ends a reply with what came before it, and the rest of a turn together', async () => {
  const messages: string[] = []
  const outbox = makeOutbox(async (inbox, sent) => {
    messages.push(`${inbox} ${sent.map((frame) => `${frame.requestId}.${frame.seq}`).join(' ')}`)
    if (inbox === 'gone') throw new Error('not published')
  })
  const all = (inbox: string, requestId: string) => frames(requestId).map((frame) => outbox.send(inbox, frame))
  void all('a', 'first')
  expect(messages).toEqual(['a first.0 first.1 first.2 first.3'])
  const rest = [...all('a', 'second'), ...all('a', 'third'), ...all('b', 'fourth')]
  expect(messages).toHaveLength(1)
  await Promise.all(rest)
  expect(messages.slice(1)).toEqual([
    `a ${[0, 1, 2, 3].map((seq) => `second.${seq}`).join(' ')} ${[0, 1, 2, 3].map((seq) => `third.${seq}`).join(' ')}`,
    'b fourth.0 fourth.1 fourth.2 fourth.3',
  ])
  const failed = await Promise.allSettled(all('gone', 'fifth'))
  expect(failed.map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
})

it('takes the frames of a message as they were sent, and none that is not ours', () => {
  expect(parseFrames(JSON.parse(JSON.stringify(frames('a'))))).toEqual(frames('a'))
  const [, head, data, end] = frames('a')
  const faults = [
    { ...head, contentType: 1 },
    { ...data, text: undefined },
    { ...end, usage: undefined },
    { ...end, seq: '3' },
    { ...end, type: 'over' },
    null,
  ]
  for (const fault of faults) expect(() => parseFrames([fault]), JSON.stringify(fault)).toThrow()
  expect(() => parseFrames(end)).toThrow()
})
