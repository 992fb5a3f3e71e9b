import { describe, expect, it } from 'vitest'
import { EngineModel } from './engine-model.ts'
import { profiles } from './profile.ts'

/** Requests per simulated second with `clients` that each ask again as soon as they are answered. */
function closedLoop(clients: number): { requestsPerS: number; stepsPerS: number } {
  const model = new EngineModel(profiles['h100-llama-3.1-8b'])
  let asked = 0
  const ask = () => model.add({ id: String(asked++), promptTokens: 256, outputTokens: 256 })
  for (let i = 0; i < clients; i++) ask()
  const began = performance.now()
  let nowMs = 0
  let answered = 0
  while (nowMs < 120_000) {
    const step = model.step()
    nowMs += step.durationMs
    for (const _ of step.finished) {
      answered++
      ask()
    }
  }
  return {
    requestsPerS: (answered / nowMs) * 1000,
    stepsPerS: (model.counters.steps / (performance.now() - began)) * 1000,
  }
}

describe('profile h100-llama-3.1-8b', () => {
  it.each([
    [8, 4.2],
    [32, 14.7],
    [64, 24.1],
    [128, 35.8],
    [192, 40.4],
    [256, 44.3],
  ])('with %i in flight answers within 10 %% of the measured %f requests/s', (clients, measured) => {
    const { requestsPerS, stepsPerS } = closedLoop(clients)
    expect(requestsPerS).toBeGreaterThan(measured * 0.9)
    expect(requestsPerS).toBeLessThan(measured * 1.1)
    // Far below what it does, so that a busy machine passes and a quadratic scheduler does not.
    expect(stepsPerS).toBeGreaterThan(5000)
  })
})
