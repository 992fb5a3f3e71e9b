import { shareOf } from '@forebay/router'

/** Which version of a model answers, while it is rolled out and after. Null: that of the pools that name none. */
export interface ModelVersions {
  /** What answers everything that is not the canary's. */
  readonly stable: string | null
  /** The version that is being rolled out, and its share of the requests in per cent. */
  readonly canary: { readonly version: string; readonly weight: number; readonly rolloutId: string } | undefined
}

/** The versions that pools run of a model, in the order of the file; null for a pool that names none. */
export type VersionsInPools = readonly (string | null)[]

/**
 * The versions of a model: as its latest rollout left it, else (or when no pool runs what that left) that of the pools
 * that name none, else the first that the file names. Undefined when no pool names a version: nothing is to be told apart.
 */
export function versionsOf(inPools: VersionsInPools, latest: ModelVersions | undefined): ModelVersions | undefined {
  if (inPools.every((version) => version === null)) return undefined
  if (latest && inPools.includes(latest.stable)) return latest
  const stable = inPools.includes(null) ? null : (inPools[0] ?? null)
  return { stable, canary: undefined }
}

/** The version that a request gets: the same for the same key, and a share that grows keeps what it had. */
export function versionFor(versions: ModelVersions, key: string): string | null {
  const { canary, stable } = versions
  if (!canary) return stable
  return shareOf(`${canary.rolloutId}\n${key}`) * 100 < canary.weight ? canary.version : stable
}
