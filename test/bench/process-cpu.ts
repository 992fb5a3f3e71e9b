import { readdirSync, readFileSync } from 'node:fs'

const ticksPerSecond = 100
// Linux' SCHED_IDLE: a loop that keeps a core awake is nobody's work.
const idleClass = '5'

/**
 * CPU seconds used so far by each process below this one, by what it runs (`gpu`, `results`, `postgres`, …). Read from
 * /proc; empty where there is none.
 */
export function processCpu(): Map<string, number> {
  const all = new Map(numbersIn('/proc').flatMap((pid) => statOf(pid)))
  const isBelow = (pid: number): boolean => pid === process.pid || (pid > 1 && isBelow(all.get(pid)?.parent ?? 0))
  const sums = new Map<string, number>()
  for (const [pid, { name, seconds }] of all) {
    if (pid !== process.pid && isBelow(pid)) sums.set(name, (sums.get(name) ?? 0) + seconds)
  }
  return sums
}

/** Microseconds of CPU per request by process, of what was used between two looks; less than one is left out. */
export function cpuPerRequest(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  requests: number,
): Record<string, number> {
  const used = [...after].map(([name, seconds]): [string, number] => [
    name,
    Math.round(((seconds - (before.get(name) ?? 0)) * 1e6) / requests),
  ])
  return Object.fromEntries(used.filter(([, micros]) => micros >= 1).sort(([, a], [, b]) => b - a))
}

/** Adds to `sums` the CPU seconds that each process used between two looks. */
export function addCpu(
  sums: Map<string, number>,
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): void {
  for (const [name, seconds] of after) {
    sums.set(name, (sums.get(name) ?? 0) + seconds - (before.get(name) ?? 0))
  }
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
  } catch {
    return []
  }
}

function statOf(pid: number): [number, { parent: number; name: string; seconds: number }][] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // After the name in parentheses: state, parent, …; times are the 12th and 13th from there, the class is the 39th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const seconds = (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
    if (fields[38] === idleClass) return []
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const script = /([^/]+)\/src\/main\.ts$|([^/]+)-process\.ts$/.exec(words.find((word) => /\.ts$/.test(word)) ?? '')
    const name = script?.[1] ?? script?.[2] ?? stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    return [[pid, { parent: Number(fields[1]), name, seconds }]]
  } catch {
    // It ended meanwhile.
    return []
  }
}
