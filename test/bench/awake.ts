import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import type { Running } from '@forebay/kernel'

// Ends by itself when the benchmark is gone, however that ended.
const spin = 'while kill -0 "$0" 2>/dev/null; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done'

/**
 * Keeps the cores from sleeping, as latency is measured: on each a loop of the idle class, which runs only while nothing
 * else would. A virtual core that sleeps takes tenths of a millisecond to wake, and that would be most of what is seen.
 * `areAwake` answers whether all of them still run: they do not where the system has no such class (it is Linux').
 */
export async function keepAwake(): Promise<Running & { areAwake(): boolean }> {
  const loops = await Promise.all(cpus().map((_, core) => started(core)))
  return {
    areAwake: () => loops.every((loop) => loop?.exitCode === null && loop.signalCode === null),
    stop: async () => {
      for (const loop of loops) loop?.kill('SIGKILL')
    },
  }
}

async function started(core: number): Promise<ChildProcess | undefined> {
  const args = ['--idle', '0', 'taskset', '--cpu-list', `${core}`, 'sh', '-c', spin, `${process.pid}`]
  const child = spawn('chrt', args, { stdio: 'ignore' })
  child.unref()
  return once(child, 'spawn').then(
    () => child,
    () => undefined,
  )
}
