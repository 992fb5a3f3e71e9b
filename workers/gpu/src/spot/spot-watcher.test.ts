import { ManualClock, silentLogger } from '@forebay/kernel'
import { expect, it } from 'vitest'
import type { SpotNotice } from './notice.ts'
import { SpotWatcher } from './spot-watcher.ts'

const end: SpotNotice = { kind: 'end', cloud: 'aws', what: 'terminate', byMs: 5 }
const risk: SpotNotice = { kind: 'risk', cloud: 'aws', what: 'rebalance recommendation', atMs: 1 }

async function watch(answers: (SpotNotice | undefined | Error)[]) {
  const clock = new ManualClock()
  const notices: SpotNotice[] = []
  const looks: number[] = []
  const source = {
    cloud: 'aws' as const,
    pollMs: 5_000,
    async look() {
      looks.push(clock.now())
      const answer = answers.shift()
      if (answer instanceof Error) throw answer
      return answer
    },
    acknowledge: async () => {},
  }
  const watcher = new SpotWatcher({ source, clock, logger: silentLogger, onNotice: (notice) => notices.push(notice) })
  watcher.start()
  await clock.advance(60_000)
  await watcher.stop()
  return { looks: looks.map((at) => at - (looks[0] ?? 0)), notices }
}

it('looks every five seconds until the notice, tells it once and looks no more', async () => {
  const { looks, notices } = await watch([undefined, undefined, end, end])
  expect(looks).toEqual([0, 5_000, 10_000])
  expect(notices).toEqual([end])
})

it('tells a risk once and goes on looking', async () => {
  const { notices } = await watch([risk, risk, risk, end])
  expect(notices).toEqual([risk, end])
})

it('goes on when the service gives no answer, less often while that lasts', async () => {
  const failures = Array.from({ length: 4 }, () => new Error('unreachable'))
  const { looks, notices } = await watch([...failures, end])
  expect(notices).toEqual([end])
  expect(looks.at(-1)).toBeLessThanOrEqual(60_000)
  expect(looks).toHaveLength(5)
})
