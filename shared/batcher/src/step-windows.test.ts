import { EngineModel, profiles } from '@forebay/engine-model'
import { describe, expect, it } from 'vitest'
import type { EngineSample } from './request.ts'
import { makeStepCost } from './step-cost.ts'
import { makeStepWindows } from './step-windows.ts'

const idle: EngineSample = {
  atMs: 0,
  running: 4,
  waiting: 0,
  kvUsage: 0,
  kvTokens: 1_000,
  preemptions: 0,
  promptTokens: 0,
  cachedTokens: 0,
  generationTokens: 0,
  steps: 0,
}

describe('windows of steps', () => {
  it('let steps be learned that are too long for more than two between looks', () => {
    const profile = profiles['h100-llama-3.1-8b']
    const engine = new EngineModel(profile)
    const [cost, windows] = [makeStepCost(), makeStepWindows()]
    const counts = { steps: 0, promptTokens: 0, generationTokens: 0 }
    let [nowMs, lookMs, added] = [0, 0, 0]
    while (nowMs < 60_000) {
      // A step has 600 to 6,000 prompt tokens in it, by turns of ten, and takes up to 170 ms.
      const prompts = Math.floor(counts.steps / 10) % 2 === 0 ? 1 : 10
      if (engine.running < 400) {
        for (let i = 0; i < prompts; i++) {
          engine.add({
            id: `r${added++}`,
            promptTokens: 200 + ((added * 131) % 900),
            outputTokens: 100 + (added % 100),
          })
        }
      }
      const { durationMs, emitted } = engine.step()
      for (; lookMs < nowMs + durationMs; lookMs += 250) {
        const window = windows.observe({ ...idle, atMs: lookMs, running: engine.running, ...counts }, 250)
        if (window) cost.observe(window)
      }
      nowMs += durationMs
      counts.steps++
      counts.generationTokens += emitted.length
      for (const { generated, request } of emitted) if (generated === 1) counts.promptTokens += request.promptTokens
    }
    expect(cost.perPrefillTokenMs / profile.cost.perPrefillTokenMs).toBeGreaterThan(0.8)
    expect(cost.perPrefillTokenMs / profile.cost.perPrefillTokenMs).toBeLessThan(1.2)
  })

  it('take the number of steps from the tokens where the engine does not tell it, and leave idle times out', () => {
    const windows = makeStepWindows()
    const look = (generationTokens: number, running: number) =>
      windows.observe({ ...idle, running, generationTokens, steps: null }, 200)
    look(0, 4)
    expect(look(20, 4)).toBeUndefined()
    expect(look(30, 0)).toBeUndefined()
    expect(look(30, 4)).toBeUndefined()
    expect(look(50, 4)).toEqual({ stepMs: 40, running: 4, prefillTokens: 0 })
  })

  it('begin anew when the engine does', () => {
    const windows = makeStepWindows()
    const look = (steps: number) => windows.observe({ ...idle, steps, generationTokens: 4 * steps }, 100)
    look(100)
    expect(look(106)).toBeUndefined()
    expect(look(3)).toBeUndefined()
    expect(look(9)).toBeUndefined()
    expect(look(11)).toEqual({ stepMs: 25, running: 4, prefillTokens: 0 })
  })
})
