import { makeBatcher } from '@forebay/batcher'
import { profiles } from '@forebay/engine-model'
import { batchLines, burstyLive, type Gate, makeConstantCap, simulate } from '@forebay/simulation'

const profile = profiles['h100-llama-3.1-8b']
const durationMs = Number(process.env['DUR'] ?? 120_000)
const live = burstyLive({ durationMs, seed: 7, bursts: { onPerSecond: 24, offPerSecond: 1, onMs: 6000, offMs: 9000 } })
const batch = batchLines({ lines: 20_000, seed: 3 })
const show = (name: string, gate: Gate, requests: typeof live, untilMs = durationMs) => {
  const t = performance.now()
  const r = simulate({ profile, gate, requests, untilMs, measureFromMs: 30_000 })
  const c = gate.counts()
  console.log(
    name.padEnd(14),
    'ttft',
    r.realtime.ttftMs.p50.toFixed(1),
    r.realtime.ttftMs.p90.toFixed(1),
    r.realtime.ttftMs.p99.toFixed(1),
    'itl',
    r.realtime.interTokenMs.p50.toFixed(1),
    r.realtime.interTokenMs.p99.toFixed(1),
    'batch/s',
    r.batch.requestsPerSecond.toFixed(2),
    Math.round(r.batch.tokensPerSecond),
    'hit',
    r.prefixHitRate.toFixed(3),
    'pre',
    r.enginePreemptions,
    r.preempted,
    'dur',
    Math.round(r.durationMs),
    'ceil',
    c.ceiling,
    'real ms',
    Math.round(performance.now() - t),
  )
  return r
}
const adaptive = (ttft?: number) => makeBatcher({ seats: { start: 32, max: 2048 }, objective: { ttftP99Ms: ttft } })
const alone = show('live alone', makeConstantCap({ cap: 1024 }), live)
console.log('live', live.length)
for (const cap of (process.env['ALONE'] ?? '256,512,1024').split(',').map(Number))
  show(`closed ${cap}`, makeConstantCap({ cap }), batch)
show('adaptive alone', adaptive(), batch)
if (process.env['STATIC'] !== '0')
  for (const cap of [8, 16, 32, 48, 64, 96, 128, 192, 256])
    show(`cap ${cap}`, makeConstantCap({ cap }), [...batch, ...live])
show('no objective', adaptive(), [...batch, ...live])
for (const level of [1.5, 2, 3]) {
  const slo = alone.realtime.ttftMs.p99 * level
  const r = show(`slo ${slo.toFixed(0)}`, adaptive(slo), [...batch, ...live])
  const g = globalThis as any; console.log(JSON.stringify(g.dbg)); g.dbg = undefined
  console.log('   ratio', (r.realtime.ttftMs.p99 / slo).toFixed(3))
}
