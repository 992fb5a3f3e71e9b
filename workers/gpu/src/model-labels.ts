/** The labels of a metric of one model: `provider` is the engine's kind, `quantization` the pool's, '' when not said. */
export type ModelLabels = {
  readonly model: string
  readonly provider: string
  readonly quantization: string
}

/** Answers a model's labels: the same object as long as they are the same, for they are asked for with every request. */
export function makeModelLabels(options: {
  provider: () => string
  quantization: string
}): (model: string) => ModelLabels {
  const { quantization } = options
  let last: ModelLabels | undefined
  return (model) => {
    const provider = options.provider()
    if (last?.model !== model || last.provider !== provider) last = { model, provider, quantization }
    return last
  }
}
