import { systemClock } from '@forebay/kernel'
import { expect, it } from 'vitest'
import {
  expectDepth,
  type Harness,
  message,
  messages,
  receive,
  receiveBriefly,
  receiveOne,
  redelivered,
} from './harness.ts'

/** Dead letters, depth and purging. */
export function deadLetterCases(h: () => Harness): void {
  it('keeps a dead message aside and gives it back as a first attempt', async () => {
    const queue = await h().brief()
    await queue.send([message('poison', { attributes: { tenant: 't1' } })])
    // Both ways of using up an attempt: lost, and given back.
    await receiveOne(queue, 5_000, receiveBriefly)
    const lost = await redelivered(h(), queue)
    await queue.nack(lost, { delayMs: 0 })
    await queue.deadLetter(await receiveOne(queue), { code: 'broken', detail: 'cannot be read' })
    await expectDepth(h(), queue, { dead: 1 })
    expect(await receive(queue, 1, 50)).toEqual([])
    expect([1, 'started']).toContain((await queue.redrive({ max: 10 })).moved)
    const back = await receiveOne(queue)
    expect([back.id, back.attempt, back.attributes]).toEqual(['poison', 1, { tenant: 't1' }])
    await queue.nack(back, { delayMs: 0 })
    const second = await receiveOne(queue)
    expect(second.attempt).toBe(2)
    expect(await queue.ack([second])).toEqual([{ id: 'poison', ok: true }])
    await expectDepth(h(), queue, {})
  })

  it('redrives no more than asked', async () => {
    const queue = await h().fresh()
    await queue.send(messages(4))
    for (const lease of await receive(queue, 4)) await queue.deadLetter(lease, { code: 'broken' })
    await expectDepth(h(), queue, { dead: 4 })
    const { moved } = await queue.redrive({ max: 3 })
    if (moved === 'started') return
    expect(moved).toBe(3)
    await expectDepth(h(), queue, { visible: 3, dead: 1 })
    expect(await queue.redrive({ max: 0 })).toEqual({ moved: 0 })
  })

  it('counts what is visible, in flight, delayed and dead', async () => {
    const queue = await h().fresh()
    await queue.send([...messages(5), message('later', { delayMs: 60_000 })])
    const leases = await receive(queue, 3)
    const [first] = leases
    if (first) await queue.deadLetter(first, { code: 'broken' })
    await expectDepth(h(), queue, { visible: 2, inFlight: 2, delayed: 1, dead: 1 })
    if (h().expectations.tellsDepth === false) return
    expect(Math.abs((await queue.depth()).asOf - systemClock.now())).toBeLessThan(120_000)
  })

  it('purges everything that is not leased, and stays usable', async () => {
    const queue = await h().fresh()
    await queue.send([...messages(5), message('later', { delayMs: 60_000 })])
    await queue.deadLetter(await receiveOne(queue), { code: 'broken' })
    await queue.purge()
    await expectDepth(h(), queue, {})
    await queue.send([message('after')])
    expect((await receiveOne(queue)).id).toBe('after')
  })

  it('keeps queues apart', async () => {
    const [one, other] = [await h().fresh(), await h().fresh()]
    await one.send([message('mine')])
    expect(await receive(other, 1, 50)).toEqual([])
    await other.purge()
    expect((await receiveOne(one)).id).toBe('mine')
  })
}
