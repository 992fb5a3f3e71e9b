import { ManualClock, silentLogger } from '@forebay/kernel'
import { expect, it, onTestFinished } from 'vitest'
import { PollLoop, type PollLoopOptions } from './poll-loop.ts'

const startMs = 1_000_000

/** A loop whose runs are noted by the time since the start. */
function start(options: Partial<PollLoopOptions>) {
  const clock = new ManualClock(startMs)
  const runs: number[] = []
  const loop = new PollLoop({
    ...{ clock, logger: silentLogger, name: 'test', pollMs: 1_000, sinceMs: startMs, gapMs: 25 },
    ...options,
    work: async (signal) => {
      runs.push(clock.now() - startMs)
      return (await options.work?.(signal)) ?? false
    },
  })
  loop.start()
  onTestFinished(() => loop.stop())
  /** Moves time on in small steps, each of them settled. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 5) await clock.advance(5)
  }
  return { clock, loop, runs, pass }
}

it('polls at whole multiples of its time, also after it was woken in between', async () => {
  const { loop, runs, pass } = start({})
  await pass(1_500)
  loop.wake()
  await pass(1_000)
  expect(runs).toEqual([0, 1_000, 1_500, 2_000])
})

it('runs once more when it is woken during its work, after the gap', async () => {
  let end = () => {}
  const { loop, runs, pass } = start({ work: () => new Promise((resolve) => (end = () => resolve(false))) })
  await pass(100)
  loop.wake()
  end()
  await pass(100)
  end()
  await pass(100)
  expect(runs).toEqual([0, 125])
})

it('does what is nudged on and on ever more rarely, and a wake in between soon', async () => {
  const { loop, runs, pass } = start({ gapMsMax: 400, gapMsWoken: 150, pollMs: 60_000 })
  for (let i = 0; i < 100; i++) {
    loop.nudge()
    await pass(50)
  }
  const gaps = runs.slice(1).map((at, i) => at - (runs[i] ?? 0))
  expect(gaps[0]).toBeLessThan(100)
  expect(Math.max(...gaps.slice(-5))).toBeGreaterThanOrEqual(400)
  expect(Math.max(...gaps)).toBeLessThanOrEqual(455)
  const before = runs.at(-1) ?? 0
  loop.wake()
  await pass(155)
  expect(runs.at(-1)).toBeGreaterThan(before)
})

it('backs off when its work fails, and no hint makes it try sooner', async () => {
  let failing = true
  const { loop, runs, pass } = start({
    work: async () => {
      if (failing) throw new Error('away')
      return false
    },
  })
  for (let i = 0; i < 20; i++) {
    loop.wake()
    await pass(50)
  }
  expect(runs.length).toBeLessThan(8)
  failing = false
  await pass(20_000)
  expect(runs.length).toBeGreaterThan(8)
})

it('stops when its work under way has ended, without another pause', async () => {
  let end = () => {}
  const { loop, runs } = start({ work: () => new Promise((resolve) => (end = () => resolve(false))) })
  const stopped = loop.stop()
  end()
  await stopped
  expect(runs).toEqual([0])
})

it('stops while it waits, and does not run again', async () => {
  const { loop, runs, pass } = start({})
  await pass(100)
  await loop.stop()
  loop.wake()
  await pass(5_000)
  expect(runs).toEqual([0])
})
