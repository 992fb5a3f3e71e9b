import type { EngineState } from './engine/engine-monitor.ts'

/** The labels of a metric of one model: `provider` is the engine's kind, `quantization` the pool's, '' when not said. */
export type ModelLabels = {
  readonly model: string
  readonly provider: string
  readonly quantization: string
}

/** What metrics and results tell of a model, by what the engine says of itself. */
export interface ModelFacts {
  /** The labels of its metrics: the same object as long as they are the same, for every request asks for them. */
  labels(model: string): ModelLabels
  /** Those of the engine's own metrics, which of several models has no one of them. */
  engineLabels(): ModelLabels
  /** Which version of it the engine serves now; null when it does not say. */
  version(model: string): string | null
}

/** `state`: of the engine, now. */
export function makeModelFacts(options: { state: () => EngineState; quantization: string }): ModelFacts {
  const { quantization, state } = options
  let last: ModelLabels | undefined
  const profile = () => {
    const now = state()
    return now.up ? now.profile : undefined
  }
  const labels = (model: string) => {
    const provider = profile()?.kind ?? 'unknown'
    if (last?.model !== model || last.provider !== provider) last = { model, provider, quantization }
    return last
  }
  return {
    labels,
    engineLabels() {
      const [first, second] = profile()?.models ?? []
      return labels(first && !second ? first.id : '')
    },
    version: (model) => profile()?.models.find(({ id }) => id === model)?.version ?? null,
  }
}
