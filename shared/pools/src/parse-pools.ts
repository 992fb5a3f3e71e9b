import { openBlobs } from '@forebay/blobs'
import { ForebayError } from '@forebay/kernel'
import { type ModelSpec, modelsSchema } from '@forebay/model-registry'
import { checkQueueUrl } from '@forebay/queue-select'
import type { AliasRule } from '@forebay/router'
import { isMap, isNode, isPair, isScalar, LineCounter, parseDocument } from 'yaml'
import { z } from 'zod'
import { faultsOfEngines } from './engine-faults.ts'
import { faultsOfGpu } from './gpu-faults.ts'
import { type PoolSpec, type RoutingSpec, routingUsual } from './pool-spec.ts'
import { aliasSchema, poolSchema, poolsFileSchema, routingSchema } from './pools-file.ts'

type Path = readonly PropertyKey[]

interface Fault {
  path: Path
  message: string
}

/**
 * Reads the pools of a configuration file's text. `${NAME}` in a value stands for an environment variable, so that the
 * file need hold no password. Throws one `config_invalid` that names every fault with its line.
 */
export function parsePools(options: FileText): PoolSpec[] {
  return parsePoolsFile(options).pools
}

interface FileText {
  text: string
  /** The file's name, for messages. */
  file: string
  env: Readonly<Record<string, string | undefined>>
  /** Read for this pool's workers alone: the others' faults, as a password that is not set here, are left to others. */
  only?: string | undefined
}

/** All that a file says: its pools, routing, aliases and models. */
interface FileSays {
  pools: PoolSpec[]
  routing: RoutingSpec
  routes: AliasRule[]
  models: ModelSpec[]
}

/** The same, and the rest of what the file says. */
export function parsePoolsFile(options: FileText): FileSays {
  const lines = new LineCounter()
  const document = parseDocument(options.text, { lineCounter: lines })
  const syntax = document.errors.map((err) => ({
    line: err.linePos?.[0].line,
    message: err.message.split('\n')[0] ?? '',
  }))
  if (syntax.length > 0) throw invalid(options.file, syntax)
  const faults: Fault[] = []
  const value = fillIn(document.toJS(), { env: options.env, faults }, [])
  const others = otherPools(value, options.only)
  const parsed = poolsFileSchema.safeParse(value)
  for (const issue of parsed.error?.issues ?? []) {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [undefined]
    for (const key of keys) {
      faults.push(
        key === undefined
          ? { path: issue.path, message: issue.message }
          : {
              path: [...issue.path, key],
              message: ['routing', 'routes', 'models'].includes(String(issue.path[0]))
                ? `is no setting of ${String(issue.path[0])}`
                : 'is no setting of a pool',
            },
      )
    }
  }
  const known = new Set(faults.map(({ path }) => nameOf(path)))
  faults.push(...contradictions(value).filter(({ path }) => !known.has(nameOf(path))))
  const own = faults.filter(({ path }) => path[0] !== 'pools' || !others.has(path[1]))
  if (own.length > 0) {
    const lineOf = (path: Path) => lines.linePos(offsetOf(document.contents, path)).line
    throw invalid(
      options.file,
      own.map(({ path, message }) => ({ line: lineOf(path), message: `${placeOf(value, path)} ${message}`.trim() })),
    )
  }
  const pools = parsed.data?.pools ?? z.array(poolSchema).parse(listOf(value).filter((_, i) => !others.has(i)))
  const named = pools.map(
    ({
      queue,
      blobs,
      cloud,
      region,
      models,
      quantization,
      costPerGpuHour,
      gpus,
      maxReplicas,
      coldStartSeconds,
      tokensPerSecond,
      spendCapPerDay,
      engines,
      engineMemoryGb,
      ...rest
    }) => ({
      ...rest,
      queueUrl: queue,
      blobUrl: blobs,
      ...{ cloud, region, models, quantization, costPerGpuHour, gpus, maxReplicas, coldStartSeconds, tokensPerSecond },
      ...{ spendCapPerDay, engines, engineMemoryGb },
    }),
  )
  const routing = parsed.data?.routing ?? routingSchema.optional().parse(field(value, 'routing'))
  const routes = parsed.data?.routes ?? z.array(aliasSchema).optional().parse(field(value, 'routes')) ?? []
  const models = parsed.data?.models ?? modelsSchema.optional().parse(field(value, 'models')) ?? []
  if (!routing) return { pools: named, routing: routingUsual, routes, models }
  const { cloud, region } = routing.home
  return { pools: named, routing: { weights: routing.weights, home: { cloud, region } }, routes, models }
}

/** What is wrong with a queue URL, to follow the name of its setting; undefined when a driver would take it. */
export function faultOfQueueUrl(url: string): string | undefined {
  try {
    checkQueueUrl(url)
    return undefined
  } catch (err) {
    const message = err instanceof Error ? err.message : String(err)
    return `is no queue URL: ${message.replace(/^The queue URL/, 'it').replace(/\.$/, '')}`
  }
}

/** The value with `${NAME}` in its texts replaced; a name that is not set is a fault. */
function fillIn(value: unknown, to: { env: FileText['env']; faults: Fault[] }, path: Path): unknown {
  if (Array.isArray(value)) return value.map((item, i) => fillIn(item, to, [...path, i]))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillIn(item, to, [...path, key])]))
  }
  if (typeof value !== 'string') return value
  return value.replace(/\$\{(\w+)\}/g, (whole, name: string) => {
    const found = to.env[name]
    if (!found) to.faults.push({ path, message: `needs ${name}, which is not set in the environment` })
    return found || whole
  })
}

/** The indices of the pools other than `only`; none when that is not among them. */
function otherPools(value: unknown, only: string | undefined): Set<PropertyKey | undefined> {
  const names = listOf(value).map((pool) => field(pool, 'name'))
  if (only === undefined || !names.includes(only)) return new Set()
  return new Set(names.flatMap((name, i) => (name === only ? [] : [i])))
}

function listOf(value: unknown): unknown[] {
  const pools = field(value, 'pools')
  return Array.isArray(pools) ? pools : []
}

/** What the schema cannot say, looked for also in a file that it refuses. */
function contradictions(value: unknown): Fault[] {
  const faults: Fault[] = []
  const seen = new Map<unknown, number>()
  for (const [i, pool] of listOf(value).entries()) {
    const at = (key: string, message: string) => faults.push({ path: ['pools', i, key], message })
    const [name, min, max] = ['name', 'minReplicas', 'maxReplicas'].map((key) => field(pool, key))
    const first = seen.get(name)
    if (first !== undefined) at('name', `is "${String(name)}", as is that of pools[${first}]: each needs its own`)
    else if (name !== undefined) seen.set(name, i)
    if (typeof min === 'number' && typeof max === 'number' && min > max) {
      at('minReplicas', `is ${min} and maxReplicas ${max}: the least must not be more than the most`)
    }
    const [managed, cap] = [field(pool, 'managed'), field(pool, 'spendCapPerDay')]
    if (managed === true && cap === undefined) {
      at('managed', 'is true and spendCapPerDay not given: say what may be spent there a day')
    }
    if (managed !== true && cap !== undefined) {
      at('spendCapPerDay', 'is given and managed is not true: only managed pools have a cap')
    }
    for (const { key, message } of [...faultsOfEngines(pool), ...faultsOfGpu(pool)]) at(key, message)
    for (const [key, faultOf] of [
      ['queue', faultOfQueueUrl],
      ['blobs', faultOfBlobUrl],
    ] as const) {
      const url = field(pool, key)
      const fault = typeof url === 'string' && url !== '' ? faultOf(url) : undefined
      if (fault !== undefined) at(key, fault)
    }
  }
  faults.push(...unknownTargets(value))
  return faults
}

/** Models that an alias stands for and no pool serves; known only when every pool says what it serves. */
function unknownTargets(value: unknown): Fault[] {
  const served = listOf(value).map((pool) => field(pool, 'models'))
  const routes = field(value, 'routes')
  if (!Array.isArray(routes) || !served.every(Array.isArray)) return []
  const known = new Set(served.flat())
  return routes.flatMap((route, i) => {
    const [to, complexity] = [field(route, 'to'), field(route, 'complexity')]
    const key = complexity === undefined ? 'to' : 'complexity'
    const sizes = [field(complexity, 'small'), field(complexity, 'large')].filter((model) => typeof model === 'string')
    const shares = typeof to === 'string' ? [to] : typeof to === 'object' && to !== null ? Object.keys(to) : []
    return [...shares, ...sizes]
      .filter((model) => !known.has(model))
      .map((model) => ({ path: ['routes', i, key], message: `names the model '${model}', which no pool serves` }))
  })
}

function faultOfBlobUrl(url: string): string | undefined {
  try {
    openBlobs({ url })
    return undefined
  } catch (err) {
    return `is no blob URL: ${(err instanceof Error ? err.message : String(err)).replace(/^BLOB_URL: /, '')}`
  }
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}

/** Where the deepest node on the path begins; a missing key is looked for where it should be. */
function offsetOf(root: unknown, path: Path): number {
  let node = root
  let offset = isNode(root) ? (root.range?.[0] ?? 0) : 0
  for (const part of path) {
    const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && key.value === part) : undefined
    if (isPair(pair) && isNode(pair.key)) offset = pair.key.range?.[0] ?? offset
    node = pair
      ? pair.value
      : isNode(node) && 'get' in node
        ? (node.get as (key: unknown, keep: true) => unknown)(part, true)
        : undefined
    if (!isNode(node)) return offset
    if (!pair) offset = node.range?.[0] ?? offset
  }
  return offset
}

function nameOf(path: Path): string {
  return path.reduce<string>(
    (name, part) =>
      typeof part === 'number' ? `${name}[${part}]` : name === '' ? String(part) : `${name}.${String(part)}`,
    '',
  )
}

/** The setting, and the name of the pool it belongs to where that pool has one. */
function placeOf(value: unknown, path: Path): string {
  const [list, index] = path
  const name = list === 'pools' && typeof index === 'number' ? field(listOf(value)[index], 'name') : undefined
  return typeof name === 'string' && name !== '' ? `${nameOf(path)} (pool "${name}")` : nameOf(path)
}

function invalid(file: string, faults: readonly { line?: number | undefined; message: string }[]): ForebayError {
  const sorted = [...faults].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
  const list = sorted.map(({ line, message }) => `  ${line === undefined ? '' : `line ${line}: `}${message}`)
  return new ForebayError(
    'config_invalid',
    `${file} has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${list.join('\n')}`,
  )
}
