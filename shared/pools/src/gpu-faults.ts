import { knownGpu, nearestGpus } from '@forebay/capacity'

/** What is wrong with the GPU that a pool names: one that the catalogue does not have and whose memory nobody says, or more memory than it has. */
export function faultsOfGpu(pool: unknown): { key: string; message: string }[] {
  const { gpu, gpuMemoryGb } = (typeof pool === 'object' && pool !== null ? pool : {}) as Record<string, unknown>
  if (typeof gpu !== 'string' || gpu === '') return []
  const known = knownGpu(gpu)
  if (known === undefined) {
    if (gpuMemoryGb !== undefined) return []
    const nearest = nearestGpus(gpu).join(', ')
    const message = `is '${gpu}', which the catalogue of \`forebay plan\` does not have (nearest: ${nearest}); of a GPU of your own say the memory, too (gpuMemoryGb)`
    return [{ key: 'gpu', message }]
  }
  if (typeof gpuMemoryGb !== 'number' || gpuMemoryGb <= known.memoryGb) return []
  return [{ key: 'gpuMemoryGb', message: `is ${gpuMemoryGb}, and ${known.name} has ${known.memoryGb} GB` }]
}
