import { describe, expect, it } from 'vitest'
import { judgeRollout, rolloutRulesUsual, type StratumFigures, versionFor, versionsOf } from './index.ts'

const stratum = (requests: number, more: Partial<StratumFigures> = {}): StratumFigures => ({
  ...{ stratum: 'realtime /v1/chat/completions', requests, failed: 0, checksFailed: 0 },
  ...{ answered: requests - (more.failed ?? 0), logMsMean: Math.log(500), logMsVariance: 0.25 },
  ...more,
})
const rollout = {
  ...{ weight: 10, steps: [25, 100], rules: rolloutRulesUsual, fromVersion: null, toVersion: 'v2', steppedAtMs: 0 },
}
const later = (rolloutRulesUsual.stepSeconds + 1) * 1_000
const judge = (from: StratumFigures[], to: StratumFigures[], nowMs = later, over: Partial<typeof rollout> = {}) =>
  judgeRollout({ ...rollout, ...over }, { from, to }, nowMs)

describe('a rollout', () => {
  it('goes on after its time and its sample when the new version is as good, and says with which figures', () => {
    const verdict = judge([stratum(1_000, { failed: 5 })], [stratum(120)])
    expect(verdict).toMatchObject({ move: 'step', weight: 25 })
    expect(verdict.reason).toBe(
      'From 10 % to 25 %: 0.0 % (0.5 % before) of its requests failed and its answers took 500 ms (500 ms before), over 120 requests.',
    )
    expect(judge([stratum(1_000)], [stratum(120)], later, { weight: 100 })).toMatchObject({ move: 'promote' })
  })

  it('waits for its time, its sample, something to compare with, and an admin where it has no steps', () => {
    const fine = [stratum(1_000)]
    expect(judge(fine, [stratum(120)], 299_000)).toMatchObject({
      move: 'wait',
      reason: expect.stringContaining('for 1 s more'),
    })
    expect(judge(fine, [stratum(99)]).reason).toContain('until 100 of its requests have ended; 99 have')
    expect(judge([], [stratum(120)]).reason).toContain('no request of the unnamed version ended')
    expect(judge([{ ...stratum(500), stratum: 'batch x' }], [stratum(120)])).toMatchObject({ move: 'wait' })
    expect(judge(fine, [stratum(500)], later, { steps: [] }).reason).toContain('until an admin moves it')
  })

  it('goes back as soon as more fail, take longer or fail their check than is allowed, beyond doubt', () => {
    const old = [stratum(1_000, { failed: 10 })]
    const broken = judge(old, [stratum(20, { failed: 18 })], 1_000)
    expect(broken).toMatchObject({ move: 'roll_back', weight: 0 })
    expect(broken.reason).toMatch(
      /^Rolled back from 10 %: version v2 is worse beyond doubt, 90\.0 % \(1\.0 % before\) of its requests fail, over 20 requests; allowed is 1\.0 % more than the unnamed version\.$/,
    )
    expect(judge(old, [stratum(300, { logMsMean: Math.log(900) })], 1_000).reason).toMatch(
      /its answers take 900 ms \(500 ms before\)/,
    )
    expect(judge(old, [stratum(300, { checksFailed: 60 })], 1_000).reason).toMatch(
      /20\.0 % .* answers fail their check/,
    )
  })

  it('does not go on while what is known of the quality of its answers looks worse, nor wait for that of a few', () => {
    const fine = [stratum(1_000)]
    const none = { from: [], to: [] }
    const quality = (requests: number, bad: number) => ({
      ...{ judged: none, perplexity: none },
      repetition: {
        from: [{ stratum: 'batch_1', requests: 200, bad: 10 }],
        to: [{ stratum: 'batch_1', requests, bad }],
      },
    })
    const verdict = (requests: number, bad: number) =>
      judgeRollout(rollout, { from: fine, to: [stratum(120)] }, later, quality(requests, bad))
    expect(verdict(100, 5).move).toBe('step')
    expect(verdict(19, 10).move).toBe('step')
    expect(verdict(40, 5)).toMatchObject({ move: 'wait', reason: expect.stringContaining('not yet beyond doubt') })
    expect(verdict(100, 50)).toMatchObject({ move: 'roll_back', reason: expect.stringContaining('repeat themselves') })
  })

  it('does not go back on chance: few requests, or a difference within the noise; it then waits', () => {
    const old = [stratum(1_000, { failed: 10 })]
    expect(judge(old, [stratum(19, { failed: 19 })], 1_000).move).toBe('wait')
    expect(judge(old, [stratum(100, { failed: 4 })])).toMatchObject({
      move: 'wait',
      reason: expect.stringContaining('not yet beyond doubt'),
    })
    expect(judge(old, [stratum(40, { logMsMean: Math.log(700), logMsVariance: 1 })], 1_000).move).toBe('wait')
  })

  it('compares like with like: more batch lines, which fail more, are no fault of the version', () => {
    const live = (requests: number, failed: number) => stratum(requests, { failed })
    const batch = (requests: number, failed: number) => ({
      ...stratum(requests, { failed }),
      stratum: 'batch /v1/chat/completions',
    })
    expect(judge([live(1_000, 0), batch(100, 30)], [live(100, 0), batch(1_000, 290)]).move).toBe('step')
  })

  it('of two equal versions goes back in hardly any of many looks', () => {
    let seed = 1
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    const failures = (n: number) => Array.from({ length: n }, random).filter((x) => x < 0.05).length
    let back = 0
    for (let look = 0; look < 2_000; look++) {
      const verdict = judge([stratum(400, { failed: failures(400) })], [stratum(60, { failed: failures(60) })])
      if (verdict.move === 'roll_back') back++
    }
    expect(back).toBeLessThanOrEqual(2)
  })
})

describe('the version of a request', () => {
  const canary = (weight: number) => ({ stable: null, canary: { version: 'v2', weight, rolloutId: 'r' } })

  it('is the same for the same request, about its share, and stays when the share grows', () => {
    const at = (weight: number) => Array.from({ length: 2_000 }, (_, i) => versionFor(canary(weight), `req_${i}`))
    const ten = at(10)
    expect(at(10)).toEqual(ten)
    const share = ten.filter((version) => version === 'v2').length
    expect(share).toBeGreaterThan(140)
    expect(share).toBeLessThan(260)
    for (const [i, version] of at(50).entries()) if (ten[i] === 'v2') expect(version).toBe('v2')
    expect(new Set(at(100))).toEqual(new Set(['v2']))
  })

  it('without a rollout is that of the pools that name none, else the first; a version that no pool runs any more is nobody’s', () => {
    expect(versionsOf([null, null], undefined)).toBeUndefined()
    expect(versionsOf(['v2', null], undefined)).toEqual({ stable: null, canary: undefined })
    expect(versionsOf(['v1', 'v2'], undefined)).toEqual({ stable: 'v1', canary: undefined })
    expect(versionsOf(['v1', 'v2'], { stable: 'v2', canary: undefined })?.stable).toBe('v2')
    expect(versionsOf(['v1', 'v3'], { stable: 'v2', canary: undefined })?.stable).toBe('v1')
  })
})
