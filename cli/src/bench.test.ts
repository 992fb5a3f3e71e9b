import { startEngineSim } from '@forebay/engine-sim'
import { expect, it, onTestFinished } from 'vitest'
import { memoryInMetrics, memoryInOllama } from './bench/memory-used.ts'
import { json, refusal, startApiServer } from './testing/api-server.ts'
import { runInside } from './testing/run-inside.ts'

const load = ['--concurrency', '1,8', '--requests', '16', '--prompt-tokens', '20', '--max-tokens', '5']

it('measures an engine at each concurrency with whole answers, and says that a simulator answered', async () => {
  const sim = await startEngineSim({ models: ['llama-3.1-8b'], fixedMs: 20, record: true })
  onTestFinished(() => sim.stop())
  const bench = ['bench', 'engine', '--url', `${sim.url}/v1`, '--model', 'llama-3.1-8b', ...load]
  const run = await runInside([...bench, '--json'])
  expect(run).toMatchObject({ code: 0, stderr: expect.stringContaining('A simulator answered') })
  const report = JSON.parse(run.stdout)
  expect(report).toMatchObject({
    ...{ url: sim.url, quantization: 'none', billionParams: 8.03, memoryBytes: null, simulated: true },
    runs: [
      { concurrency: 1, requests: 16, failed: 0 },
      { concurrency: 8, requests: 16, failed: 0 },
    ],
  })
  // Each answer takes 20 ms at least, however many there are at once.
  for (const { concurrency, p50Ms, p95Ms, requestsPerSecond } of report.runs) {
    expect(p50Ms).toBeGreaterThanOrEqual(19)
    expect(p95Ms).toBeGreaterThanOrEqual(p50Ms)
    expect(requestsPerSecond).toBeLessThanOrEqual(concurrency / 0.019)
  }
  const text = await runInside(bench)
  expect(text.stdout).toMatch(/MODEL +SIZE +QUANTIZATION +MEMORY.*\nllama-3.1-8b +8.03B +none +unknown +1 /)
})

it('says what the engine says when it answers nothing, and counts what fails', async () => {
  const answer = json({ usage: { prompt_tokens: 20, completion_tokens: 5 } })
  const server = await startApiServer({
    // The one of the warm-up succeeds, then every second fails.
    'POST /v1/chat/completions': (_, nth) => (nth % 2 === 1 ? answer : refusal(503, { message: 'full' })),
    'GET /metrics': { status: 404 },
  })
  onTestFinished(() => server.stop())
  const bench = ['bench', 'engine', '--model', 'm', '--concurrency', '1', '--requests', '10', '--json']
  const half = await runInside([...bench, '--url', server.url])
  expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining('5 requests failed') })
  expect(JSON.parse(half.stdout).runs).toMatchObject([{ requests: 10, failed: 5 }])
  const sim = await startEngineSim({ models: ['other'], profile: 'instant' })
  onTestFinished(() => sim.stop())
  const none = await runInside([...bench, '--url', sim.url])
  expect(none).toMatchObject({ code: 1, stderr: expect.stringMatching(/answers no request for m: status 404/) })
  expect((await runInside(bench)).code).toBe(2)
})

it('reads the memory in use where metrics or Ollama tell it', () => {
  expect(memoryInMetrics('DCGM_FI_DEV_FB_USED{gpu="0"} 100\nDCGM_FI_DEV_FB_USED{gpu="1"} 50\n')).toBe(150 * 2 ** 20)
  expect(memoryInMetrics('vllm:num_requests_running{} 1\n')).toBeNull()
  expect(memoryInOllama('{"models":[{"name":"m:latest","size_vram":7000}]}', 'm')).toBe(7_000)
  expect(memoryInOllama('<html>', 'm')).toBeNull()
})
