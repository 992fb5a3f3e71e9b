import { expect, it, onTestFinished } from 'vitest'
import { histogramQuantile } from './plan/histogram-quantile.ts'
import { json, startApiServer } from './testing/api-server.ts'
import { runInside } from './testing/run-inside.ts'

const model = ['plan', '--model', 'llama-3.1-8b']
const read = (run: { stdout: string }) => JSON.parse(run.stdout)

it('plans for a model and its load without a gateway, with the rule of thumb beside it', async () => {
  const [text, data] = await Promise.all([
    runInside([...model, '--requests-per-day', '1000000', '--ttft-ms', '500', '--budget', '20000']),
    runInside(['plan', '--params', '7', '--budget', '5000', '--requests-per-day', '50000', '--json']),
  ])
  expect(text).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^Run \d+ x \(\d x [\w-]+\): \d+ USD a month\.\n$/),
  })
  expect(text.stdout).toMatch(/GPU +PER REPLICA +REPLICAS.*USD\/MONTH/)
  expect(read(data)).toMatchObject({
    model: { name: '7B, shaped as mistral-7b', billionParams: 7 },
    guide: {
      memory: { totalGb: 19.56, recommendedGpuGb: 23.47 },
      advice: ['Use 7B or 13B model with quantization', 'Implement request batching', 'Use mid-tier GPUs (A10G, T4)'],
    },
    catalogue: { currency: 'USD', date: expect.stringMatching(/^\d{4}-\d\d-\d\d$/) },
    chosen: { misses: [] },
  })
})

it('ends with 1 and the numbers when nothing meets it, with 2 for what it does not know', async () => {
  const runs = await Promise.all([
    runInside(['plan', '--params', '400', '--gpu', 'T4']),
    runInside([...model, '--gpu', 'B42']),
    runInside(['plan', '--model', 'gpt-7']),
    runInside(['plan']),
    runInside([...model, '--context', '600']),
  ])
  expect(runs.map(({ code }) => code)).toEqual([1, 2, 2, 2, 2])
  expect(runs[0]?.stderr).toMatch(/T4: does not fit: weights, runtime and one request need 8\d\d\.\d GB, \d x T4 give/)
  expect(runs[1]?.stderr).toContain("There is no GPU 'B42' in the catalogue. Nearest: T4, L4, ")
  expect(runs[2]?.stderr).toContain("There is no model 'gpt-7'")
})

it('takes what a worker of the live system gets through, and its price', async () => {
  const pool = { name: 'eu-a', models: ['llama-3.1-8b'], workers: 2, tokens_per_second: 7_000, gpus: 1 }
  const server = await startApiServer({
    'GET /admin/pools': json({
      object: 'list',
      data: [
        { ...pool, cost_per_gpu_hour: 3 },
        { ...pool, name: 'us-a', models: [], workers: 0, tokens_per_second: 0, cost_per_gpu_hour: null },
      ],
    }),
  })
  onTestFinished(() => server.stop())
  const live = [...model, '--live', '--gpu', 'H100', '--requests-per-day', '864000', '--peak', '1', '--json']
  const [measured, idle, vague] = await Promise.all([
    runInside(live, { url: server.url }),
    runInside([...live, '--pool', 'us-a'], { url: server.url }),
    runInside([...model, '--live'], { url: server.url }),
  ])
  // 10 requests a second of 700 tokens; a worker does 3,500 tokens/s = 5 of them, planned to be 80 % full: 2.5 -> 3.
  expect(read(measured)).toMatchObject({
    live: { pool: 'eu-a', tokensPerSecond: 3_500, firstByteP95Ms: null },
    chosen: { gpu: 'H100', replicas: 3, monthlyCost: 3 * 3 * 720, speed: { measured: true } },
  })
  expect([idle.code, idle.stderr]).toEqual([2, expect.stringContaining('0 workers and 0 tokens/s. Run your load')])
  expect([vague.code, vague.stderr]).toEqual([2, expect.stringContaining('--gpu')])
})

it('reads a quantile of a histogram as Prometheus does', () => {
  const text = ['0.1', '0.2', '+Inf']
    .flatMap((le, i) => [
      `t_bucket{le="${le}",endpoint="a"} ${[5, 8, 8][i]}`,
      `t_bucket{le="${le}",endpoint="b"} ${[1, 2, 2][i]}`,
    ])
    .join('\n')
  expect(histogramQuantile(text, 't', 0.5)).toBeCloseTo(0.1 * (5 / 6), 9)
  expect(histogramQuantile(text, 't', 0.8)).toBeCloseTo(0.15, 9)
  expect(histogramQuantile(text, 'u', 0.5)).toBeNull()
})
