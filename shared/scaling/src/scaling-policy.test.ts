import { describe, expect, it } from 'vitest'
import { makeScalingPolicy } from './scaling-policy.ts'
import type { LiveLoad, OutstandingWork, ScalablePool, ScalingDecision } from './scaling-state.ts'

const minute = 60_000
const hour = 60 * minute
const pool = (given: Partial<ScalablePool> = {}): ScalablePool => ({
  ...{ name: 'a', minReplicas: 0, maxReplicas: 16, costPerHour: 2, spot: false, coldStartMs: 3 * minute },
  ...{ tokensPerSecond: 1_000, ready: 0, closed: undefined },
  ...given,
})
const due = (tokens: number, deadlineMs: number, pools = ['a']): OutstandingWork => ({
  ...{ pools, lane: 'batch', tokens, deadlineMs },
})
const live = (tokensPerSecond: number, given: Partial<LiveLoad> = {}): LiveLoad => ({
  ...{ pools: ['a'], tokensPerSecond, waitingTokens: 0, ttftRatio: undefined },
  ...given,
})

/** A policy driven every 15 s; what was asked for is ready after the cold start. */
function drive(first: readonly ScalablePool[]) {
  const policy = makeScalingPolicy()
  let nowMs = 1_000_000_000
  let pools = first
  const asked = new Map<string, number[]>()
  const step = (load: { work?: OutstandingWork[]; live?: LiveLoad[] }): ScalingDecision[] => {
    const decisions = policy.decide({ nowMs, pools, work: load.work ?? [], live: load.live ?? [] })
    for (const { desired, pool: name, ready } of decisions) {
      const waiting = (asked.get(name) ?? []).slice(0, Math.max(0, desired - ready))
      while (ready + waiting.length < desired) waiting.push(nowMs)
      asked.set(name, waiting)
    }
    nowMs += 15_000
    pools = pools.map((each) => {
      const desired = decisions.find(({ pool: name }) => name === each.name)?.desired ?? 0
      const waiting = asked.get(each.name) ?? []
      const came = waiting.filter((atMs) => nowMs - atMs >= each.coldStartMs).length
      asked.set(each.name, waiting.slice(came))
      return { ...each, ready: Math.min(desired, each.ready + came) }
    })
    return decisions
  }
  const over = (ms: number, load: Parameters<typeof step>[0] | (() => Parameters<typeof step>[0])) => {
    let last: ScalingDecision[] = []
    for (const untilMs = nowMs + ms; nowMs < untilMs; ) last = step(typeof load === 'function' ? load() : load)
    return last
  }
  return {
    ...{ step, over },
    now: () => nowMs,
    become: (change: (each: ScalablePool) => ScalablePool) => {
      pools = pools.map(change)
    },
  }
}

describe('a pool', () => {
  it('grows to the least number that meets the deadline, a cold start included', () => {
    const run = drive([pool()])
    const [decision] = run.step({ work: [due(10_000_000, run.now() + hour)] })
    // 10 M tokens at 1,000/s take 2.8 replica-hours; what starts now has less than 57 minutes of the hour.
    expect(decision).toMatchObject({ pool: 'a', desired: 4, wanted: 4, outstandingTokens: 10_000_000 })
    expect(decision?.reason).toBe('Up from 0 to 4: 10.0M tokens are due within 60 min at 1000 tokens/s each.')
  })

  it('is in no hurry where the deadline is not', () => {
    const run = drive([pool()])
    expect(run.step({ work: [due(10_000_000, run.now() + 24 * hour)] })).toMatchObject([{ desired: 1 }])
  })

  it('counts what is on its way, and asks for it once', () => {
    const run = drive([pool()])
    const deadlineMs = run.now() + hour
    run.step({ work: [due(10_000_000, deadlineMs)] })
    expect(run.step({ work: [due(10_000_000, deadlineMs)] })).toMatchObject([{ current: 4, ready: 0, desired: 4 }])
  })

  it('at most doubles in 30 s, or grows by four', () => {
    const run = drive([pool({ maxReplicas: 100 })])
    const load = { live: [live(50_000)] }
    const seen = [run.step(load), run.step(load), run.step(load), run.step(load), run.step(load)].flat()
    expect(seen.map(({ desired }) => desired)).toEqual([4, 4, 8, 8, 16])
    expect(seen[0]?.reason).toContain('which asks for 65; more follow in the next step')
  })

  it('shrinks only after fewer have sufficed for 300 s, and then to zero when nothing is left', () => {
    const run = drive([pool({ ready: 8 })])
    const deadlineMs = run.now() + hour
    expect(run.over(4 * minute, { work: [due(26_000_000, deadlineMs)] })).toMatchObject([{ desired: 9 }])
    expect(run.over(4.5 * minute, {})).toMatchObject([{ desired: 9 }])
    expect(run.over(minute, {})).toMatchObject([{ desired: 4 }])
    expect(run.over(10 * minute, {})).toMatchObject([
      { desired: 0, reason: expect.stringContaining('nothing is to be done') },
    ])
    expect(run.step({ work: [due(1_000, run.now() + hour)] })).toMatchObject([{ desired: 1 }])
  })

  it('keeps a worker whose work would miss its deadline without it', () => {
    const run = drive([pool({ ready: 2 })])
    const deadlineMs = run.now() + 2 * hour
    // What is left needs both until the end, so that one less is never enough.
    const left = () => ({ work: [due(Math.max(0, (deadlineMs - run.now()) * 1.7), deadlineMs)] })
    for (let i = 0; i < 20; i++) expect(run.over(5 * minute, left)[0]?.desired).toBeGreaterThanOrEqual(2)
  })

  it('is ready for live traffic with room to spare, and for where a rise will be after a cold start', () => {
    const run = drive([pool({ ready: 4 })])
    expect(run.over(5 * minute, { live: [live(2_000)] })).toMatchObject([{ wanted: 3 }])
    let rate = 2_000
    const rising = run.over(2 * minute, () => {
      rate += 200
      return { live: [live(rate)] }
    })
    expect(rising[0]?.desired).toBeGreaterThan(5)
  })

  it('grows when live requests get their first token too late on busy engines, and only then', () => {
    const late = { ttftRatio: 1.5 }
    expect(drive([pool({ ready: 4 })]).step({ live: [live(3_000, late)] })).toMatchObject([{ desired: 5 }])
    expect(drive([pool({ ready: 4 })]).step({ live: [live(100, late)] })).toMatchObject([{ desired: 4, wanted: 1 }])
  })

  it('keeps one for live requests until it has been quiet for a quarter of an hour', () => {
    const run = drive([pool({ ready: 1 })])
    run.over(minute, { live: [live(10)] })
    expect(run.over(13 * minute, { live: [live(0)] })).toMatchObject([{ desired: 1 }])
    expect(run.over(10 * minute, { live: [live(0)] })).toMatchObject([{ desired: 0 }])
  })

  it('keeps within its bounds and says when they bind', () => {
    const run = drive([pool({ minReplicas: 1, maxReplicas: 3 })])
    expect(run.step({ live: [live(50_000)] })).toMatchObject([
      { desired: 3, reason: expect.stringContaining('more than maxReplicas 3 can do') },
    ])
    expect(run.over(30 * minute, {})).toMatchObject([
      { desired: 1, reason: expect.stringContaining('minReplicas is 1') },
    ])
  })

  it('that does not come up is said to be late after one and a half cold starts and stuck after three, and holds', () => {
    const never = makeScalingPolicy()
    const state = (nowMs: number) => ({
      ...{ nowMs, pools: [pool({ coldStartMs: minute })], live: [] },
      work: [due(10_000_000, 2_000_000_000)],
    })
    expect(never.decide(state(1_000_000_000))[0]).toMatchObject({ desired: 1, stuck: false })
    const [late] = never.decide(state(1_000_000_000 + 100_000))
    expect(late).toMatchObject({ desired: 1, stuck: false, lateMs: 10_000 })
    expect(late?.reason).toContain('the first was asked for 100 s ago and is late (a cold start takes 60 s)')
    const [stuck] = never.decide(state(1_000_000_000 + 4 * minute))
    expect(stuck).toMatchObject({ desired: 1, stuck: true })
    expect(stuck?.reason).toBe(
      'Stays at 1: 1 of them asked for 4 min ago do not come (a cold start takes 60 s, and 3 times that has passed), so no more are asked for.',
    )
  })

  it('that is drained or cut off stays as it is', () => {
    const [decision] = makeScalingPolicy().decide({
      ...{ nowMs: 1e9, pools: [pool({ ready: 3, closed: 'is drained' })], live: [], work: [due(1e9, 1e9 + hour)] },
    })
    expect(decision).toMatchObject({ desired: 3, reason: 'Stays at 3: the pool is drained.' })
  })

  it('is not shrunk by a new start of the autoscaler', () => {
    const policy = makeScalingPolicy()
    policy.resume([{ pool: 'a', desired: 6 }])
    expect(policy.decide({ nowMs: 1e9, pools: [pool({ ready: 5 })], work: [], live: [] })).toMatchObject([
      { desired: 6 },
    ])
  })
})

describe('pools that serve the same model', () => {
  const both = ['spot', 'dear', 'cheap']
  const three = [
    pool({ name: 'dear', costPerHour: 5 }),
    pool({ name: 'cheap', costPerHour: 3, maxReplicas: 2 }),
    pool({ name: 'spot', costPerHour: 4, spot: true, maxReplicas: 2, coldStartMs: 20 * minute }),
  ]
  const desired = (decisions: readonly ScalingDecision[]) =>
    Object.fromEntries(decisions.map((each) => [each.pool, each.desired]))

  it('take work spot first, then the cheaper token, each to its limit', () => {
    const decisions = makeScalingPolicy().decide({
      ...{ nowMs: 1e9, pools: three, live: [], work: [due(30_000_000, 1e9 + 2 * hour, both)] },
    })
    expect(desired(decisions)).toEqual({ spot: 2, cheap: 2, dear: 2 })
  })

  it('take it where it can still be done in time', () => {
    const decisions = makeScalingPolicy().decide({
      ...{ nowMs: 1e9, pools: three, live: [], work: [due(500_000, 1e9 + 20 * minute, both)] },
    })
    expect(desired(decisions)).toEqual({ spot: 0, cheap: 1, dear: 0 })
  })

  it('leave a pool alone whose tag the work does not carry', () => {
    const decisions = makeScalingPolicy().decide({
      ...{ nowMs: 1e9, pools: three, live: [], work: [due(500_000, 1e9 + 20 * minute, ['dear'])] },
    })
    expect(desired(decisions)).toEqual({ spot: 0, cheap: 0, dear: 1 })
  })

  it('keep the dearer ones until the cheaper ones work', () => {
    const run = drive([pool({ name: 'cheap', costPerHour: 1 }), pool({ name: 'dear', costPerHour: 5, ready: 2 })])
    const load = { live: [live(1_500, { pools: ['cheap', 'dear'] })] }
    run.become((each) => (each.name === 'cheap' ? { ...each, coldStartMs: 15 * minute } : each))
    expect(desired(run.over(12 * minute, load))).toEqual({ cheap: 2, dear: 2 })
    expect(desired(run.over(20 * minute, load))).toEqual({ cheap: 2, dear: 0 })
  })
})
