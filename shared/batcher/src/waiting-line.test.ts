import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import type { BatcherRequest } from './request.ts'
import { makeDeadlineLine, makeGroupedLine } from './waiting-line.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const request = (serial: number): BatcherRequest => ({
  id: `r${serial}`,
  lane: 'batch',
  model: 'm',
  batchId: 'batch_a',
  prefixGroup: 7,
  bytes: 400,
  estTokens: 200,
  deadlineMs: 1e12 + serial,
  streams: false,
})

it.each([
  ['grouped', makeGroupedLine],
  ['deadline', makeDeadlineLine],
])('a %s line keeps its order and nothing of what left it, however many come and go', async (_, makeLine) => {
  const line = makeLine()
  const refs: WeakRef<BatcherRequest>[] = []
  const inMemory = async () => {
    await turn()
    collectGarbage()
    return refs.filter((ref) => ref.deref() !== undefined).length
  }
  const takeFirst = () => {
    const first = line.find(() => true, 1)
    if (first) line.remove(first.id)
    return first?.id
  }
  const taken: (string | undefined)[] = []
  for (let serial = 0; serial < 5000; serial++) {
    const added = request(serial)
    refs.push(new WeakRef(added))
    line.add(added)
    if (serial >= 100) taken.push(takeFirst())
  }
  expect(line.size).toBe(100)
  expect(await inMemory()).toBeLessThan(300)
  while (line.size > 0) taken.push(takeFirst())
  expect(await inMemory()).toBeLessThan(3)
  expect(taken).toEqual(Array.from({ length: 5000 }, (_, serial) => `r${serial}`))
})

it('says the longest that is expected of what came since it was empty', () => {
  const line = makeGroupedLine()
  line.add({ ...request(1), estTokens: 300 })
  line.addFirst({ ...request(2), estTokens: 200 })
  expect(line.estTokensMost).toBe(300)
  line.remove('r1')
  line.remove('r2')
  expect(line.estTokensMost).toBe(0)
})
