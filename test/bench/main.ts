import { describeError, ForebayError } from '@forebay/kernel'

/** A benchmark: measures, and answers with what `--json` prints. */
type Bench = (args: readonly string[]) => Promise<object>

// Each is loaded only when asked for.
const benches: Record<string, { about: string; load: () => Promise<Bench> }> = {
  ingest: {
    about: 'validating and planning batch files: lines a second and memory [--lines 10000,100000]',
    load: async () => (await import('./ingest.ts')).run,
  },
  saturation: {
    about: 'batch throughput to completed, against a direct client at its best [--requests 5000] [--speed 4]',
    load: async () => (await import('./saturation.ts')).run,
  },
  overhead: {
    about: 'latency added to live requests, on Redis and embedded [--rates 50,200,500] [--seconds 5]',
    load: async () => (await import('./overhead.ts')).run,
  },
  pipeline: {
    about: 'requests a second with an instant engine, against a bare loop and plain BullMQ [--requests 20000]',
    load: async () => (await import('./pipeline.ts')).run,
  },
  queues: {
    about:
      'jobs a second and idle latency of each queue driver, against the bare SDK [--jobs 6000] [--drivers sqs,redis]',
    load: async () => (await import('./queues.ts')).run,
  },
  results: {
    about: 'requests committed a second, audit, ledger and counters, against a bare insert [--requests 60000]',
    load: async () => (await import('./results.ts')).run,
  },
  cache: {
    about: 'a cache hit through the gateway, against a plain Redis GET [--requests 3000]',
    load: async () => (await import('./cache.ts')).run,
  },
  semantic: {
    about: 'lookups of the semantic cache [--entries 10000,100000] [--dimensions 384]; DATABASE_URL for pgvector',
    load: async () => (await import('./semantic.ts')).run,
  },
  isolation: {
    about: 'live latency held beside a batch, on simulated time, against constant caps [--seconds 400] [--lines 20000]',
    load: async () => (await import('./isolation.ts')).run,
  },
  autoscale: {
    about: 'GPU-hours and misses of a bursty day, against HPA, KEDA and an oracle [--seed 1] [--trace azure.csv]',
    load: async () => (await import('./autoscale/run.ts')).run,
  },
}

async function main(): Promise<void> {
  const [name = '', ...args] = process.argv.slice(2)
  const bench = benches[name]
  if (!bench) {
    const known = Object.entries(benches).map(([each, { about }]) => `  ${each.padEnd(12)} ${about}`)
    const title = name === '' ? 'Name a benchmark' : `There is no benchmark '${name}'`
    throw new ForebayError('invalid_value', `${title}: npm run bench -- <name> [--json]\n${known.join('\n')}`)
  }
  const json = args.includes('--json')
  const result = await (await bench.load())(args.filter((arg) => arg !== '--json'))
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
  else for (const [key, value] of Object.entries(result)) show(key, value)
}

function show(key: string, value: unknown): void {
  if (!isObject(value)) {
    process.stdout.write(`${key}: ${value}\n`)
    return
  }
  const entries = Object.entries(value)
  if (Array.isArray(value) || !entries.some(([, each]) => isObject(each))) {
    process.stdout.write(`${key}\n`)
    console.table(Array.isArray(value) ? value.map(flat) : value)
  } else for (const [name, each] of entries) show(`${key}.${name}`, each)
}

// A table has no place for an object within a row.
function flat(row: unknown): unknown {
  if (!isObject(row)) return row
  return Object.fromEntries(Object.entries(row).filter(([, value]) => !isObject(value)))
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

main().catch((err: unknown) => {
  process.stderr.write(`${err instanceof ForebayError ? err.message : describeError(err)}\n`)
  process.exitCode = 1
})
