import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { runCommand } from './testing/run-command.ts'

const file = `
pools: [{ name: a, queue: 'memory:' }]
models:
  - name: llama
    source: meta-llama/Llama-3.1-70B-Instruct
    variants:
      - { name: plain, contextTokens: 8192 }
      - { name: wide, tensorParallel: 4, sleep: true }
`

it('prints how vLLM is started with a model of the file, and refuses one that does not fit, with the numbers', async () => {
  const cwd = tempDir()
  writeFileSync(join(cwd, 'forebay.config.yaml'), file)
  const flags = (...more: string[]) => runCommand(['models', 'flags', 'llama', ...more], { cwd })
  const [wide, plain, small, json, unknown] = await Promise.all([
    flags('--variant', 'wide', '--gpu', 'H100'),
    flags(),
    flags('--gpu', 'H100'),
    flags('--json', '--variant', 'wide', '--gpu', 'H100'),
    flags('--variant', 'x'),
  ])
  expect(wide).toMatchObject({
    code: 0,
    stdout:
      'VLLM_SERVER_DEV_MODE=1 vllm serve meta-llama/Llama-3.1-70B-Instruct --served-model-name llama ' +
      '--tensor-parallel-size 4 --enable-sleep-mode --enable-prompt-tokens-details\n',
    stderr: expect.stringMatching(/It fits: \d+\.\d GB of weights .* of 4 × H100/),
  })
  expect(plain).toMatchObject({ code: 0, stdout: expect.stringContaining('--max-model-len 8192') })
  expect(small.code).not.toBe(0)
  expect(small.stderr).toMatch(/llama \(plain\) does not fit: \d+\.\d GB of weights .* -\d+\.\d GB left/)
  expect(JSON.parse(json.stdout)).toMatchObject({
    env: { VLLM_SERVER_DEV_MODE: '1' },
    memory: { requestsMax: expect.any(Number) },
  })
  expect(unknown.stderr).toContain('There are: plain, wide.')
})

it('names a fault in the models with its line', async () => {
  const cwd = tempDir()
  writeFileSync(join(cwd, 'forebay.config.yaml'), file.replace('sleep: true', 'sleeps: true'))
  const { code, stderr } = await runCommand(['pools', 'check'], { cwd })
  expect([code, stderr]).toEqual([
    2,
    expect.stringContaining('line 8: models[0].variants[1].sleeps is no setting of models'),
  ])
})
