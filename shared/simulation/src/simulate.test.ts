import { makeBatcher } from '@forebay/batcher'
import { profiles } from '@forebay/engine-model'
import { describe, expect, it } from 'vitest'
import { readAzureTrace } from './azure-trace.ts'
import { makeConstantCap } from './constant-cap.ts'
import { simulate } from './simulate.ts'
import { batchLines, burstyLive } from './workload.ts'

const profile = profiles['h100-llama-3.1-8b']
const seats = { start: 32, max: 2_048 }
const untilMs = 150_000
const measured = { profile, untilMs, measureFromMs: 30_000 }
const live = burstyLive({
  durationMs: untilMs,
  seed: 5,
  bursts: { onPerSecond: 24, offPerSecond: 1, onMs: 6_000, offMs: 9_000 },
})
const batch = batchLines({ lines: 9_000, seed: 5 })
const beside = [...batch, ...live]

describe('the batcher before a simulated engine', () => {
  it('gives a batch alone at least 0.97 of what the best closed loop gets, and finds the seats itself', () => {
    const closed = [256, 512, 1024].map((cap) =>
      simulate({ ...measured, gate: makeConstantCap({ cap }), requests: batch }),
    )
    const best = Math.max(...closed.map((report) => report.batch.tokensPerSecond))
    const own = simulate({ ...measured, gate: makeBatcher({ seats }), requests: batch })
    expect(own.batch.tokensPerSecond / best).toBeGreaterThan(0.97)
  })

  it('does so for an engine with few seats, of which it was not told', () => {
    const small = { ...measured, profile: profiles.laptop, untilMs: 90_000 }
    const closed = simulate({ ...small, gate: makeConstantCap({ cap: 40 }), requests: batch })
    const own = simulate({ ...small, gate: makeBatcher({ seats }), requests: batch })
    expect(own.batch.tokensPerSecond / closed.batch.tokensPerSecond).toBeGreaterThan(0.97)
  })

  it('holds an objective of 1.5, 2 and 3 times the latency alone, with more batch than a constant cap', () => {
    const alone = simulate({ ...measured, gate: makeConstantCap({ cap: 1 }), requests: live })
    const caps = [48, 64, 80, 96, 160, 192, 224].map((cap) =>
      simulate({ ...measured, gate: makeConstantCap({ cap }), requests: beside }),
    )
    for (const times of [1.5, 2, 3]) {
      const slo = alone.realtime.ttftMs.p99 * times
      const gate = makeBatcher({ seats, objective: { ttftP99Ms: slo } })
      const own = simulate({ ...measured, gate, requests: beside })
      expect(own.realtime.ttftMs.p99 / slo, `latency at ${times}`).toBeLessThan(1.05)
      const holding = caps.filter((report) => report.realtime.ttftMs.p99 <= slo * 1.05)
      const best = Math.max(...holding.map((report) => report.batch.tokensPerSecond))
      expect(own.batch.tokensPerSecond / best, `gain at ${times}`).toBeGreaterThan(1.15)
    }
  })

  it('holds an objective for the time between tokens', () => {
    const gate = makeBatcher({ seats, objective: { interTokenP99Ms: 50 } })
    const { batch: work, realtime } = simulate({ ...measured, gate, requests: beside })
    expect(realtime.interTokenMs.p99).toBeLessThan(50 * 1.15)
    expect(work.requests).toBeGreaterThan(500)
  })

  it('lets batch work go on slowly under an objective that nothing can hold', () => {
    const gate = makeBatcher({ seats, objective: { ttftP99Ms: 1 } })
    const { batch: work } = simulate({ ...measured, gate, requests: beside })
    expect(work.requests).toBeGreaterThan(100)
  })

  it('finds the seats of a small engine before live requests wait long behind a batch that fills them', () => {
    const steady = Array.from({ length: 100 }, (_, i) => ({
      ...{ id: `live-${i}`, lane: 'realtime' as const, atMs: i * 200 + 3, promptTokens: 25 },
      ...{ outputTokens: 24, outputTokensMax: 24, prefixGroup: 0, prefixTokens: 0 },
    }))
    const bulk = batchLines({ lines: 400, seed: 7 }).map((request) => ({ ...request, atMs: 8_000 }))
    for (const [seed, lines] of [bulk, bulk.slice().reverse()].entries()) {
      const small = { profile: profiles.laptop, requests: [...lines, ...steady], measureFromMs: 8_000 }
      const { realtime } = simulate({ ...small, gate: makeBatcher({ seats }) })
      expect(realtime.ttftMs.p99, `order ${seed}`).toBeLessThan(300)
      expect(realtime.ttftMs.p50, `order ${seed}`).toBeLessThan(50)
    }
  })

  it('answers every request once, whatever is put back for live ones', () => {
    const gate = makeBatcher({ seats: { start: 24, max: 24 }, objective: { ttftP99Ms: 60 } })
    const requests = [...batchLines({ lines: 400, seed: 2 }), ...live.filter(({ atMs }) => atMs < 60_000)]
    const report = simulate({ profile, gate, requests })
    expect(report.preempted).toBeGreaterThan(0)
    expect(report.batch.requests + report.realtime.requests).toBe(requests.length)
    expect(gate.counts()).toMatchObject({ inFlight: { realtime: 0, standard: 0, batch: 0 }, tokens: 0 })
  })
})

describe('readAzureTrace', () => {
  it('reads requests from the first one’s time on', () => {
    const csv =
      'TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.1,396,0\r\n'
    const requests = readAzureTrace(csv)
    expect(requests).toMatchObject([
      { atMs: 0, lane: 'realtime', promptTokens: 374, outputTokens: 44 },
      { promptTokens: 396, outputTokens: 1 },
    ])
    expect(requests[1]?.atMs).toBeCloseTo(3_419.41)
  })

  it('names the line that is no request, and the columns that are missing', () => {
    expect(() => readAzureTrace('TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2')).toThrow(/Line 2/)
    expect(() => readAzureTrace('a,b,c\n1,2,3')).toThrow(/TIMESTAMP/)
  })
})
