import { expect, it } from 'vitest'
import { type GatherItem, makeGatherer } from './gatherer.ts'

const limits = { inputsMax: 4, tokensMax: 100, waitMs: 50 }
let serial = 0
const item = (fields: Partial<GatherItem> = {}): GatherItem => ({
  id: `r${++serial}`,
  key: 'm',
  inputs: 1,
  tokens: 10,
  ...fields,
})
const sizes = (calls: GatherItem[][]) => calls.map((call) => call.length)

it('lets a request through at once while no call is under way', () => {
  const gatherer = makeGatherer(limits)
  gatherer.add(item(), 0)
  expect(sizes(gatherer.take(0))).toEqual([1])
  expect(gatherer.nextDueMs()).toBeUndefined()
})

it('gathers what comes together, and while a call is under way for so long as the wait allows', () => {
  const gatherer = makeGatherer(limits)
  gatherer.add(item(), 0)
  gatherer.add(item(), 0)
  expect(sizes(gatherer.take(0))).toEqual([2])
  gatherer.add(item(), 10)
  gatherer.add(item(), 40)
  expect(gatherer.take(59)).toEqual([])
  expect(gatherer.nextDueMs()).toBe(60)
  expect(sizes(gatherer.take(60))).toEqual([2])
})

it('sends what it gathered as soon as the call under way is over', () => {
  const gatherer = makeGatherer(limits)
  gatherer.add(item(), 0)
  gatherer.take(0)
  gatherer.add(item(), 5)
  gatherer.add(item(), 6)
  expect(gatherer.take(7)).toEqual([])
  gatherer.ended()
  expect(sizes(gatherer.take(8))).toEqual([2])
})

it('fills a call to the most inputs and the most tokens, never beyond, and what is larger goes alone', () => {
  const gatherer = makeGatherer(limits)
  for (let i = 0; i < 9; i++) gatherer.add(item(), 0)
  expect(sizes(gatherer.take(0))).toEqual([4, 4])
  expect(sizes(gatherer.take(50))).toEqual([1])
  for (const tokens of [60, 30, 20, 500]) gatherer.add(item({ tokens }), 100)
  expect(sizes(gatherer.take(150))).toEqual([2, 1, 1])
  gatherer.add(item({ inputs: 3 }), 200)
  gatherer.add(item({ inputs: 2 }), 200)
  gatherer.add(item({ inputs: 9 }), 200)
  expect(gatherer.take(250).map((call) => call.map(({ inputs }) => inputs))).toEqual([[3], [9], [2]])
})

it('keeps what differs apart', () => {
  const gatherer = makeGatherer(limits)
  for (const key of ['a', 'b', 'a']) gatherer.add(item({ key }), 0)
  expect(gatherer.take(0).map((call) => call.map(({ key }) => key))).toEqual([['a', 'a']])
  expect(gatherer.take(50).map((call) => call.map(({ key }) => key))).toEqual([['b']])
})

it('forgets what is taken out', () => {
  const gatherer = makeGatherer(limits)
  gatherer.add(item(), 0)
  gatherer.take(0)
  const [left, stays] = [item(), item()]
  gatherer.add(left, 0)
  expect(gatherer.remove(left.id)).toBe(true)
  expect(gatherer.remove(left.id)).toBe(false)
  expect(gatherer.nextDueMs()).toBeUndefined()
  gatherer.add(stays, 1)
  expect(gatherer.take(60)).toEqual([[stays]])
})

it('gathers no more than an engine turned out to take', () => {
  const gatherer = makeGatherer(limits)
  gatherer.limitKey('m', 2)
  for (let i = 0; i < 5; i++) gatherer.add(item(), 0)
  expect(sizes(gatherer.take(0))).toEqual([2, 2])
  gatherer.limitKey('m', 1)
  for (let i = 0; i < 2; i++) gatherer.add(item(), 0)
  expect(sizes(gatherer.take(50))).toEqual([1, 1, 1])
})
