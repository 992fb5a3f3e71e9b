import { eventually } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { completion, line, makeBench, startFakeEngine } from './testing/bench.ts'

const micros = (ms: number | null) => Math.round((ms ?? 0) * 1000)

it('tells of every microsecond of its engine once: of results, of idle, and of what ended without a result', async () => {
  const engine = await startFakeEngine((seen, res, count) => {
    if (seen.body.includes('hang')) return
    res.setHeader('content-type', 'application/json')
    if (seen.body.includes('again') && count === 1) res.writeHead(500).end('{}')
    else res.end(completion())
  })
  onTestFinished(() => engine.stop())
  const bench = await makeBench()
  onTestFinished(() => bench.stop())
  const worker = await bench.worker(engine.url, { idleEveryMs: 30 })
  await eventually(() => bench.idle.length > 1, { what: 'idle time to be told while nothing runs' })
  await bench.release(Array.from({ length: 20 }, (_, i) => line(`c${i}`, i % 5 ? 'fine' : 'again')))
  await bench.ask({ messages: [{ role: 'user', content: 'hang' }] })
  await eventually(() => bench.results.length === 20, { what: 'all lines' })
  await bench.bus.control({ type: 'cancel-request', requestId: 'req_1', attempt: 1, reason: 'superseded' })
  await bench.settled('default.realtime')
  await worker.stop()
  await bench.settled('default.results')
  const told = bench.idle.map((i) => micros(i.gpuMs) + micros(i.unfinishedGpuMs)).reduce((a, b) => a + b, 0)
  const used = bench.results.map((result) => micros(result.gpuMs)).reduce((a, b) => a + b, 0)
  const fromMs = Math.min(...bench.idle.map((i) => i.fromMs))
  const toMs = Math.max(...bench.idle.map((i) => i.toMs))
  expect(told + used).toBe(micros(toMs - fromMs))
  expect(used).toBeGreaterThan(0)
  expect(bench.idle.some((i) => i.unfinishedGpuMs > 0)).toBe(true)
})
