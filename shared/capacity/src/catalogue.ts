import { readFile } from 'node:fs/promises'
import { describeError, ForebayError } from '@forebay/kernel'
import { parse } from 'yaml'
import { z } from 'zod'
import { nearestNames } from './nearest-names.ts'

const positive = z.number().positive()
const gpuSchema = z.strictObject({
  name: z.string().min(1),
  memoryGb: positive,
  bandwidthGbPerSecond: positive,
  /** Dense FP16. */
  teraflops: positive,
  /** What each further GPU of a replica adds: the rest goes into exchanging activations. */
  parallelShare: positive.max(1).default(0.5),
  /** One GPU; null when the price is not known. */
  costPerHour: z.number().nonnegative().nullable(),
  sevenBillionRequestsPerSecond: positive.optional(),
})
const modelSchema = z.strictObject({
  name: z.string().min(1),
  billionParams: positive,
  layers: z.int().positive(),
  kvHeads: z.int().positive(),
  headDim: z.int().positive(),
  contextTokens: z.int().positive(),
})
const catalogueSchema = z.strictObject({
  date: z.string(),
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be a code of three letters, such as USD'),
  sources: z.record(z.string(), z.string()).default({}),
  gpus: z.array(gpuSchema).default([]),
  models: z.array(modelSchema).default([]),
})

/** A GPU: memory and bandwidth in GB (10⁹ bytes), price of an hour in the catalogue's currency. */
export type GpuSpec = z.infer<typeof gpuSchema>
/** What of a model its KV cache depends on. */
export type ModelShape = z.infer<typeof modelSchema>
/** GPUs with their prices, and models. */
export type Catalogue = z.infer<typeof catalogueSchema>

/** The catalogue of this package. */
export const ownFile = new URL('../data/catalogue.json', import.meta.url)

/**
 * The catalogue of this package; with `file` (YAML or JSON of the same form), its entries before ours of the same name,
 * its date and currency. Throws `config_invalid` that names every fault, also for a currency that leaves our prices behind.
 */
export async function loadCatalogue(file?: string): Promise<Catalogue> {
  const own = await readCatalogue(ownFile)
  if (file === undefined) return own
  const given = await readCatalogue(file)
  const add = <T extends { name: string }>(first: T[], rest: T[]) => [
    ...first,
    ...rest.filter(({ name }) => !first.some((each) => same(each.name, name))),
  ]
  // A price in one currency means nothing in another.
  const ours = given.currency === own.currency ? own.gpus : own.gpus.map((gpu) => ({ ...gpu, costPerHour: null }))
  return { ...given, gpus: add(given.gpus, ours), models: add(given.models, own.models) }
}

async function readCatalogue(file: string | URL): Promise<Catalogue> {
  const text = await readFile(file, 'utf8').catch((err: unknown) => {
    throw fault(file, `cannot be read (${describeError(err)}).`)
  })
  return readCatalogueText(text, file)
}

/** The catalogue that a file's text is. Throws `config_invalid` that names every fault of it. */
export function readCatalogueText(text: string, file: string | URL): Catalogue {
  let value: unknown
  try {
    value = parse(text)
  } catch (err) {
    throw fault(file, `is neither YAML nor JSON: ${describeError(err)}`)
  }
  const read = catalogueSchema.safeParse(value)
  if (read.success) return read.data
  const faults = read.error.issues.map(({ message, path }) => `${path.join('.') || 'it'}: ${message}`)
  throw fault(file, `has faults: ${faults.join('; ')}.`)
}

function fault(file: string | URL, why: string): ForebayError {
  return new ForebayError('config_invalid', `The catalogue ${String(file)} ${why}`, { param: 'catalogue' })
}

/** The GPU of that name, in whatever case. Throws `not_found` that names those there are. */
export function findGpu(catalogue: Catalogue, name: string): GpuSpec {
  return find(catalogue.gpus, name, 'gpu', 'GPU')
}

/** The model of that name, in whatever case. Throws `not_found` that names those there are. */
export function findModel(catalogue: Catalogue, name: string): ModelShape {
  return find(catalogue.models, name, 'model', 'model')
}

/** The catalogue's model that an engine serves under a name such as `meta-llama/Llama-3.1-8B-Instruct`, if any. */
export function guessModel(catalogue: Catalogue, servedAs: string): ModelShape | undefined {
  const name = (servedAs.split('/').at(-1) ?? '').toLowerCase().replace(/^meta-/, '')
  return catalogue.models.find((model) => `${name}-`.startsWith(`${model.name.toLowerCase()}-`))
}

function find<T extends { name: string }>(all: readonly T[], name: string, param: string, noun: string): T {
  const found = all.find((each) => same(each.name, name))
  if (found) return found
  const names = all.map((each) => each.name)
  const nearest = nearestNames(name, names).join(', ')
  const message = `There is no ${noun} '${name}' in the catalogue. Nearest: ${nearest}. It has: ${names.join(', ')}. Add it with --catalogue.`
  throw new ForebayError('not_found', message, { param })
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
