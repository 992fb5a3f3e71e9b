import { EngineModel, profiles } from '@forebay/engine-model'
import { expect, it } from 'vitest'
import { makeStepCost } from './step-cost.ts'

it('learns from an engine’s own counts what its steps cost', () => {
  const profile = profiles['h100-llama-3.1-8b']
  const engine = new EngineModel(profile)
  const cost = makeStepCost()
  let added = 0
  for (let window = 0; window < 200; window++) {
    // A load that comes and goes, of prompts short and long.
    const wanted = 20 + ((window * 37) % 180)
    let [durationMs, generated, prefilled] = [0, 0, 0]
    for (let step = 0; step < 20; step++) {
      while (engine.running + engine.waiting < wanted) {
        engine.add({ id: `r${added++}`, promptTokens: 50 + ((added * 131) % 900), outputTokens: 20 + (added % 100) })
      }
      const result = engine.step()
      durationMs += result.durationMs
      generated += result.emitted.length
      prefilled += result.prefillTokens
    }
    cost.observe({ stepMs: durationMs / 20, running: generated / 20, prefillTokens: prefilled / 20 })
  }
  expect(cost.perPrefillTokenMs).toBeCloseTo(profile.cost.perPrefillTokenMs, 2)
  for (const [running, prefill] of [
    [10, 0],
    [150, 0],
    [100, 600],
  ] as const) {
    const kvTokens = running * 500
    const { baseMs, perKvTokenMs, perPrefillTokenMs, perSeqMs } = profile.cost
    const truth = baseMs + running * perSeqMs + prefill * perPrefillTokenMs + kvTokens * perKvTokenMs
    expect(Math.abs(cost.stepMs(running, prefill) / truth - 1)).toBeLessThan(0.2)
  }
})
