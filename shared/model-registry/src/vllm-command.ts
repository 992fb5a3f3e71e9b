import type { PickedModel } from './pick-model.ts'

/**
 * What starts vLLM with the model: environment variables and arguments, in an order that stays the same. Every value is
 * of characters that no shell takes for its own.
 */
export function vllmCommand({ model, variant, version }: PickedModel): { env: Record<string, string>; args: string[] } {
  const { adapters, contextTokens, kvCacheType, memoryShare, quantization, sleep } = variant
  const optional = (flag: string, value: string | number | undefined) =>
    value === undefined ? [] : [flag, String(value)]
  const many = (flag: string, count: number) => (count > 1 ? [flag, String(count)] : [])
  return {
    env: {
      // The routes to sleep, wake and change adapters are there only with these; keep them from clients.
      ...(sleep ? { VLLM_SERVER_DEV_MODE: '1' } : {}),
      ...(adapters.length > 0 ? { VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' } : {}),
    },
    args: [
      ...['vllm', 'serve', version?.source ?? model.source, '--served-model-name', model.name],
      ...optional('--revision', version?.revision),
      ...optional('--quantization', quantization),
      ...many('--tensor-parallel-size', variant.tensorParallel),
      ...many('--pipeline-parallel-size', variant.pipelineParallel),
      ...optional('--max-model-len', contextTokens),
      ...optional('--kv-cache-dtype', kvCacheType),
      ...optional('--gpu-memory-utilization', memoryShare),
      ...(sleep ? ['--enable-sleep-mode'] : []),
      ...(adapters.length > 0 ? ['--enable-lora', '--max-loras', String(adapters.length), '--lora-modules'] : []),
      ...adapters.map(({ name, source }) => `${name}=${source}`),
      // Else cached tokens cannot be charged as such.
      '--enable-prompt-tokens-details',
    ],
  }
}
