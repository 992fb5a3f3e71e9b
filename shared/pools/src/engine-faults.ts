/** What is wrong with the engines of a pool that the schema cannot say: names used twice, and memory that does not suffice. */
export function faultsOfEngines(pool: unknown): { key: string; message: string }[] {
  const { engineMemoryGb: budget, engines } = isObject(pool) ? pool : {}
  if (engines === undefined) {
    if (budget === undefined) return []
    return [{ key: 'engineMemoryGb', message: 'is given and engines is not: it is the memory that they share' }]
  }
  if (!Array.isArray(engines)) return []
  if (typeof budget !== 'number') {
    return [{ key: 'engines', message: 'is given and engineMemoryGb not: say how much memory they share' }]
  }
  const faults: { key: string; message: string }[] = []
  const known = engines.filter(isObject)
  const names = known.flatMap((engine) => [engine['model'], ...adaptersOf(engine).map(({ name }) => name)])
  const twice = names.find((name, i) => name !== undefined && names.indexOf(name) !== i)
  if (twice !== undefined) faults.push({ key: 'engines', message: `names the model '${String(twice)}' twice` })
  const asleepGb = known.map(({ asleepGb = 1 }) => Number(asleepGb))
  for (const [i, engine] of known.entries()) {
    const memoryGb = Number(engine['memoryGb'])
    const others = asleepGb.reduce((sum, gb, j) => sum + (i === j ? 0 : gb), 0)
    const adapterGb = Math.max(0, ...adaptersOf(engine).map(({ memoryGb: gb = 0 }) => Number(gb)))
    const model = String(engine['model'])
    if (memoryGb < (asleepGb[i] ?? 0)) {
      faults.push({
        key: 'engines',
        message: `says of '${model}' that it takes more asleep (${asleepGb[i]} GB) than awake (${memoryGb} GB)`,
      })
    }
    if (memoryGb + adapterGb + others > budget) {
      const adapters = adapterGb > 0 ? `, ${adapterGb} GB for an adapter` : ''
      const message = `cannot hold '${model}': it takes ${memoryGb} GB awake${adapters} and the others ${others} GB asleep, more than engineMemoryGb ${budget}`
      faults.push({ key: 'engines', message })
    }
  }
  return faults
}

function adaptersOf(engine: Record<string, unknown>): Record<string, unknown>[] {
  const { adapters } = engine
  return Array.isArray(adapters) ? adapters.filter(isObject) : []
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
