import { ForebayError } from '@forebay/kernel'
import type { ModelSpec } from './model-spec.ts'

/** One version of a model, to be run in one way. */
export interface PickedModel {
  readonly model: ModelSpec
  /** Undefined: the model has no versions. */
  readonly version: ModelSpec['versions'][number] | undefined
  readonly variant: ModelSpec['variants'][number]
}

/** The model of that name, in its last version and first variant where none is said. Throws `not_found` that names those there are. */
export function pickModel(
  models: readonly ModelSpec[],
  wish: { name: string; version?: string | undefined; variant?: string | undefined },
): PickedModel {
  const model = find('model', wish.name, models, ({ name }) => name)
  const { variants, versions } = model
  const version =
    wish.version === undefined ? versions.at(-1) : find('version', wish.version, versions, (each) => each.version)
  const variant = find('variant', wish.variant ?? variants[0]?.name ?? '', variants, ({ name }) => name)
  return { model, version, variant }
}

function find<T>(what: string, wished: string, all: readonly T[], nameOf: (each: T) => string): T {
  const found = all.find((each) => nameOf(each) === wished)
  if (found) return found
  const known = all.length === 0 ? 'There is none.' : `There are: ${all.map(nameOf).join(', ')}.`
  throw new ForebayError('not_found', `There is no ${what} '${wished}' in the configuration file. ${known}`, {
    param: what,
  })
}
