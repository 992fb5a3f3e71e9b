import { describe, expect, it } from 'vitest'
import { modelsSchema, pickModel, vllmCommand } from './index.ts'

const models = modelsSchema.parse([
  {
    ...{ name: 'llama', source: 'meta-llama/Llama-3.1-8B-Instruct' },
    versions: [
      { version: 'v1', revision: 'abc' },
      { version: 'v2', source: 's3://models/llama-v2' },
    ],
    variants: [
      { name: 'plain' },
      {
        ...{ name: 'fp8', quantization: 'fp8', tensorParallel: 2, pipelineParallel: 2, contextTokens: 8_192 },
        ...{ kvCacheType: 'fp8', memoryShare: 0.85, sleep: true, adapters: [{ name: 'legal', source: '/lora/legal' }] },
      },
    ],
  },
])

describe('a model', () => {
  it('is run in its last version and first variant unless told otherwise', () => {
    expect(vllmCommand(pickModel(models, { name: 'llama' }))).toEqual({
      env: {},
      args: 'vllm serve s3://models/llama-v2 --served-model-name llama --enable-prompt-tokens-details'.split(' '),
    })
  })

  it('has each setting of its variant as the flag that vLLM knows', () => {
    const { args, env } = vllmCommand(pickModel(models, { name: 'llama', version: 'v1', variant: 'fp8' }))
    expect(env).toEqual({ VLLM_SERVER_DEV_MODE: '1', VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' })
    expect(args.join(' ')).toBe(
      'vllm serve meta-llama/Llama-3.1-8B-Instruct --served-model-name llama --revision abc --quantization fp8 ' +
        '--tensor-parallel-size 2 --pipeline-parallel-size 2 --max-model-len 8192 --kv-cache-dtype fp8 ' +
        '--gpu-memory-utilization 0.85 --enable-sleep-mode --enable-lora --max-loras 1 --lora-modules legal=/lora/legal ' +
        '--enable-prompt-tokens-details',
    )
  })

  it('that is not there is told with those that are', () => {
    expect(() => pickModel(models, { name: 'lama' })).toThrow(/no model 'lama'.*There are: llama\./)
    expect(() => pickModel(models, { name: 'llama', version: 'v9' })).toThrow(/no version 'v9'.*v1, v2\./)
    expect(() => pickModel(models, { name: 'llama', variant: 'x' })).toThrow(/no variant 'x'.*plain, fp8\./)
  })

  it('is refused with what a shell would take for its own, and with a name given twice', () => {
    const bad = (model: object) =>
      modelsSchema.safeParse([{ name: 'a', source: 'b', variants: [{ name: 'c' }], ...model }])
    expect(bad({}).success).toBe(true)
    expect(bad({ source: 'b; rm' }).success).toBe(false)
    expect(bad({ variants: [] }).error?.issues[0]?.message).toBe('must name a variant')
    expect(bad({ variants: [{ name: 'c' }, { name: 'c' }] }).error?.issues[0]?.message).toBe('names a variant twice')
  })
})
