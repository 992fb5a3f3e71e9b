import { loadCatalogue } from '@forebay/capacity'
import { ForebayError, isForebayError } from '@forebay/kernel'
import { fitModel, pickModel } from '@forebay/model-registry'
import type { Pools } from '@forebay/pools'

/**
 * What a version of a model takes in each pool that runs it, by the file's models and the pools' GPUs. Throws
 * `invalid_value` with the numbers when it does not fit in one, `not_found` when the file describes the model but not
 * that version. What cannot be checked is said, not refused.
 */
export async function checkFit(options: {
  pools: Pick<Pools, 'models' | 'spec'>
  names: readonly string[]
  model: string
  version: string
  variant: string | undefined
}): Promise<{ pool: string; told: string }[]> {
  const { model, names, pools, variant, version } = options
  if (!pools.models.some(({ name }) => name === model)) {
    return names.map((pool) => ({ pool, told: `Not checked: the file does not describe the model '${model}'.` }))
  }
  const picked = pickModel(pools.models, { name: model, version, variant })
  const needed = picked.variant.tensorParallel * picked.variant.pipelineParallel
  const catalogue = await loadCatalogue()
  return names.map((pool) => {
    const spec = pools.spec(pool)
    if (spec?.gpus !== undefined && spec.gpus < needed) {
      const { pipelineParallel, tensorParallel } = picked.variant
      const text = `${model} (${picked.variant.name}) does not fit the pool '${pool}': it takes ${needed} GPUs (tensorParallel ${tensorParallel} × pipelineParallel ${pipelineParallel}), and a replica there has ${spec.gpus}.`
      throw new ForebayError('invalid_value', text, { param: 'to' })
    }
    const memoryGb = spec?.gpuMemoryGb
    const gpu = memoryGb === undefined ? spec?.gpu : { name: spec?.gpu ?? 'its own GPU', memoryGb }
    if (gpu === undefined) return { pool, told: 'Not checked: the file does not say which GPU it has (gpu).' }
    try {
      return { pool, told: `It fits: ${fitModel(catalogue, picked, gpu).told}` }
    } catch (err) {
      if (!isForebayError(err)) throw err
      throw new ForebayError('invalid_value', `In the pool '${pool}': ${err.message}`, { param: 'to', cause: err })
    }
  })
}
