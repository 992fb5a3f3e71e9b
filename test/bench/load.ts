import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Workload } from './workload.ts'

/** Requests to send: `closed` keeps so many under way, `open` sends at Poisson times whether answers come or not. */
export type LoadTask = { url: string; apiKey?: string; workload: Workload } & (
  | { kind: 'closed'; concurrency: number }
  | { kind: 'open'; ratePerSecond: number }
)

export interface LoadResult {
  /** Of each request that was answered with 200, in the order they ended. */
  ended: {
    /** Milliseconds since the first was sent. */
    atMs: number
    /** From when it was due, so that a late sender shows. */
    tookMs: number
    promptTokens: number
    completionTokens: number
  }[]
  failed: number
  /** Share of one core that the sender used: near 1, it was the bottleneck. */
  senderCpu: number
}

/** A process of its own that sends requests with bare undici, or does another job of a benchmark. */
export interface Helper<Task, Result> {
  run(task: Task): Promise<Result>
  stop(): Promise<void>
}

/** Starts the process that sends load. */
export function startLoad(): Helper<LoadTask, LoadResult> {
  return startHelper('./load-process.ts')
}

/** Starts a module of this folder as a process that answers each message with one. */
export function startHelper<Task extends object, Result>(
  module: string,
  env: Readonly<Record<string, string>> = {},
): Helper<Task, Result> {
  const child: ChildProcess = fork(fileURLToPath(new URL(module, import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
    env: { ...process.env, ...env },
  })
  const exited = once(child, 'exit')
  return {
    async run(task) {
      const answered = once(child, 'message')
      child.send(task)
      const dead = exited.then(([code]) => Promise.reject(new Error(`${module} ended with code ${code}`)))
      const [answer] = await Promise.race([answered, dead])
      return answer as Result
    },
    async stop() {
      child.kill()
      await exited
    },
  }
}

/** The value below which a share of the numbers lies. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

/** The middle one, or the mean of the middle two. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] ?? Number.NaN) + (sorted[Math.floor(half)] ?? Number.NaN)) / 2
}

/** To three significant digits. */
export function round(value: number): number {
  return Number(value.toPrecision(3))
}
