import { describe, expect, it } from 'vitest'
import { decideResidency, type ResidencyPace, type Resident } from './decide-residency.ts'

const pace: ResidencyPace = { holdMs: 30, turnMs: 100 }

function resident(name: string, more: Partial<Resident> = {}): Resident {
  return {
    ...{ name, state: 'out', inBytes: 40, outBytes: 2, inFlight: 0, waiting: 0, waitingLive: 0 },
    ...{ waitingSinceMs: undefined, lastUsedMs: 0, cameMs: -1_000, notBeforeMs: 0 },
    ...more,
  }
}

const asked = (sinceMs: number, live = 0) => ({ waiting: 1, waitingLive: live, waitingSinceMs: sinceMs })
const decide = (residents: Resident[], budgetBytes = 50, nowMs = 1_000) =>
  decideResidency({ residents, budgetBytes, nowMs, pace })

describe('what comes and what leaves', () => {
  it('brings in what is asked for while there is room, and leaves what is in alone', () => {
    expect(decide([resident('a', { state: 'in' }), resident('b', asked(990))], 90)).toEqual({
      bring: ['b'],
      release: [],
    })
  })

  it('releases what has nothing to do, the least recently used first, and only as much as is needed', () => {
    const idle = [resident('new', { state: 'in', lastUsedMs: 900 }), resident('old', { state: 'in', lastUsedMs: 500 })]
    expect(decide([...idle, resident('c', asked(990))], 90)).toEqual({ bring: [], release: ['old'] })
  })

  it('keeps for a while what has just come, even from a live request', () => {
    const fresh = resident('a', { state: 'in', cameMs: 980 })
    expect(decide([fresh, resident('b', asked(990, 1))])).toEqual({ bring: [], release: [] })
  })

  it('takes the place of batch work for a live request at once, and of live work only when its turn has come', () => {
    const batch = resident('a', { state: 'in', inFlight: 3 })
    expect(decide([batch, resident('b', asked(990))]).release).toEqual([])
    expect(decide([batch, resident('b', asked(990, 1))]).release).toEqual(['a'])
    const live = resident('a', { state: 'in', ...asked(999, 2) })
    expect(decide([live, resident('b', asked(990, 1))]).release).toEqual([])
    expect(decide([live, resident('b', asked(899))]).release).toEqual(['a'])
  })

  it('does not try again what failed before its time, and goes on with the others', () => {
    const failed = resident('a', { ...asked(1), notBeforeMs: 2_000 })
    expect(decide([failed, resident('b', asked(990))])).toEqual({ bring: ['b'], release: [] })
  })

  it('wakes the engine of an adapter before it loads the adapter, and never puts it out for that', () => {
    const adapter = resident('legal', { base: 'a', inBytes: 5, outBytes: 0, ...asked(990, 1) })
    expect(decide([resident('a'), adapter])).toEqual({ bring: ['a'], release: [] })
    expect(decide([resident('a', { state: 'in' }), adapter])).toEqual({ bring: ['legal'], release: [] })
    const other = resident('tax', { base: 'a', state: 'in', inBytes: 8, outBytes: 0 })
    expect(decide([resident('a', { state: 'in' }), other, adapter])).toEqual({ bring: [], release: ['tax'] })
  })

  it('keeps the room that becomes free for who waits longest, not for whoever needs least', () => {
    const big = resident('big', { inBytes: 60, ...asked(800) })
    const small = resident('small', { inBytes: 10, ...asked(950, 1) })
    const leaving = resident('a', { state: 'leaving' })
    expect(decide([leaving, big, small], 64)).toEqual({ bring: [], release: [] })
  })
})

/** Draws the same numbers for the same seed. */
function makeRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

interface Played {
  name: string
  base?: string
  bytes: number
  state: Resident['state']
  readyMs: number
  cameMs: number
  usedMs: number
  queue: { atMs: number; live: boolean }[]
  running: number[]
}

function played(name: string, bytes: number, base?: string): Played {
  const fresh = { state: 'out' as const, readyMs: 0, cameMs: -1_000, usedMs: 0, queue: [], running: [] }
  return { name, bytes, ...fresh, ...(base === undefined ? {} : { base }) }
}

/** Plays a worker of four engines and two adapters, in room for two engines, under random load. */
function play(seed: number) {
  const random = makeRandom(seed)
  const all = [played('a', 40), played('b', 40), played('c', 60), played('d', 80)]
  all.push(played('a-x', 6, 'a'), played('a-y', 8, 'a'))
  const baseOf = ({ base }: Played) => all.find(({ name }) => name === base)
  const outBytes = ({ base }: Played) => (base === undefined ? 2 : 0)
  const takes = (each: Played) =>
    each.state === 'out' ? outBytes(each) : baseOf(each)?.state === 'out' ? 0 : each.bytes
  let [longestWaitMs, heldMs, usedMax] = [0, Number.POSITIVE_INFINITY, 0]
  for (let nowMs = 0; nowMs < 8_000; nowMs += 10) {
    for (const each of all) {
      if (nowMs < 5_000 && random() < 0.04) each.queue.push({ atMs: nowMs, live: random() < 0.4 })
      each.running = each.running.filter((endMs) => endMs > nowMs)
      if (each.readyMs > 0 && each.readyMs <= nowMs) {
        each.state = each.state === 'coming' ? 'in' : 'out'
        if (each.state === 'in') each.cameMs = nowMs
        each.readyMs = 0
      }
      const open = each.state === 'in' && (baseOf(each)?.state ?? 'in') === 'in'
      while (open && each.running.length < 2 && each.queue.length > 0) {
        longestWaitMs = Math.max(longestWaitMs, nowMs - (each.queue.shift()?.atMs ?? nowMs))
        each.running.push(nowMs + 10 + 40 * random())
        each.usedMs = nowMs
      }
      const group = all.filter(({ base, name }) => name === each.name || base === each.name)
      const idle = group.every(({ running }) => running.length === 0)
      if (each.state === 'leaving' && each.readyMs === 0 && idle) each.readyMs = nowMs + 10
    }
    usedMax = Math.max(
      usedMax,
      all.reduce((sum, each) => sum + takes(each), 0),
    )
    const residents = all.map((each) => ({
      ...{ name: each.name, base: each.base, state: each.state, inBytes: each.bytes, outBytes: outBytes(each) },
      ...{ inFlight: each.running.length, waiting: each.queue.length, notBeforeMs: 0, lastUsedMs: each.usedMs },
      waitingLive: each.queue.filter(({ live }) => live).length,
      ...{ waitingSinceMs: each.queue[0]?.atMs, cameMs: each.cameMs },
    }))
    const moves = decideResidency({ residents, budgetBytes: 100, nowMs, pace })
    for (const each of all) {
      if (moves.release.includes(each.name)) {
        heldMs = Math.min(heldMs, nowMs - each.cameMs)
        each.state = 'leaving'
      }
      if (moves.bring.includes(each.name)) Object.assign(each, { state: 'coming', readyMs: nowMs + 20 })
    }
  }
  return { longestWaitMs, heldMs, usedMax, left: all.reduce((sum, { queue }) => sum + queue.length, 0) }
}

describe('a budget that is passed already', () => {
  it('releases the least recently used at once, though nobody asks for room', () => {
    const all = [
      resident('a', { state: 'in', cameMs: 999, lastUsedMs: 9 }),
      resident('b', { state: 'in', cameMs: 999 }),
    ]
    expect(decide(all)).toEqual({ bring: [], release: ['b'] })
    const leaving = all.map((each) => (each.name === 'b' ? { ...each, state: 'leaving' as const } : each))
    expect(decide(leaving)).toEqual({ bring: [], release: [] })
  })
})

describe('under random load', () => {
  it.each([1, 2, 3, 4])('never passes the budget, never thrashes, and starves nobody (seed %i)', (seed) => {
    const { heldMs, left, longestWaitMs, usedMax } = play(seed)
    expect(usedMax).toBeLessThanOrEqual(100)
    expect(heldMs).toBeGreaterThanOrEqual(pace.holdMs)
    expect(left).toBe(0)
    // Six models take turns; each waits for the others' at most.
    expect(longestWaitMs).toBeLessThan(6 * 2 * (pace.turnMs + pace.holdMs))
  })
})
