import { readFileSync } from 'node:fs'
import { type GpuSpec, ownFile, readCatalogueText } from './catalogue.ts'
import { nearestNames } from './nearest-names.ts'

let own: readonly GpuSpec[] | undefined

/** The GPUs of this package's catalogue, without waiting: for what is checked while a file is parsed. Read once. */
function knownGpus(): readonly GpuSpec[] {
  own ??= readCatalogueText(readFileSync(ownFile, 'utf8'), ownFile).gpus
  return own
}

/** The catalogue's GPU of that name, in whatever case; undefined when there is none. */
export function knownGpu(name: string): GpuSpec | undefined {
  return knownGpus().find((gpu) => gpu.name.toLowerCase() === name.toLowerCase())
}

/** The names of the catalogue's GPUs that are nearest to one that it does not have, the nearest first. */
export function nearestGpus(name: string): string[] {
  return nearestNames(
    name,
    knownGpus().map((gpu) => gpu.name),
  )
}
