import type { Clock } from '@forebay/kernel'
import type { ChunkRunner } from './chunk/chunk-runner.ts'
import type { LiveRunner } from './live/live-runner.ts'
import type { Pulling } from './pull-lanes.ts'
import type { ResultFlusher } from './results/result-flusher.ts'
import type { Task } from './task.ts'
import type { WorkerTools } from './tools.ts'

/** Why a worker drains: it was told to stop, or its cloud takes the machine away. */
export const drainReasons = ['stop', 'spot'] as const
export type DrainReason = (typeof drainReasons)[number]

/** The end of a worker's work. */
export interface Drain {
  /** The machine will be gone at `byMs` (epoch ms): with what does not end by then, nothing is begun or gone on. */
  leaveBy(byMs: number): void
  /** Takes no more jobs, and resolves when all that are held are settled or given back. To be called once. */
  run(): Promise<void>
}

/** What a drain needs. */
export interface DrainOptions {
  clock: Clock
  tools: Pick<WorkerTools, 'batcher' | 'dispatcher' | 'limits'> & { flusher: Pick<ResultFlusher, 'drain'> }
  chunks: Pick<ChunkRunner, 'returnAll' | 'idle'>
  live: Pick<LiveRunner, 'abandonAll' | 'idle'>
  pulling: Pick<Pulling, 'stop' | 'release'>
  /** What runs may take so long when no machine is being taken away. */
  drainMs: number
  /** Kept for storing the last results and settling. */
  lastFlushMs: number
  onBegin: (reason: DrainReason) => void
  /** Ends all that is not needed any more once the last result is stored. */
  close: () => Promise<void>
}

// So often it is looked what no longer fits.
const lookMs = 250
// A machine may go a moment before it was said to.
const spareMs = 1_000

/**
 * Told to stop, a worker lets finish what runs and hands back the rest at once. When its machine is taken away at a
 * known time, it goes on with the chunks it holds for as long as their requests, by what such a request took before,
 * still end in time: nobody gains by an idle GPU.
 */
export function makeDrain(options: DrainOptions): Drain {
  const { chunks, clock, lastFlushMs, live, pulling } = options
  const { batcher, dispatcher, flusher, limits } = options.tools
  const over = new AbortController()
  let machineGoes = false
  let endMs = Number.POSITIVE_INFINITY
  let cancelEnd = () => {}

  function endAt(ms: number): void {
    if (ms >= endMs) return
    endMs = ms
    cancelEnd()
    cancelEnd = clock.after(Math.max(0, ms - clock.now()), () => over.abort())
  }

  function endsInTime(task: Task): boolean {
    const nowMs = clock.now()
    const takesMs = limits.expectedMs(batcher.estimate(task))
    const startedMs = dispatcher.startedMsOf(task.id)
    // Without experience, what runs has its chance.
    if (takesMs === undefined) return startedMs !== undefined || nowMs < endMs
    return (startedMs ?? nowMs) + takesMs <= endMs
  }

  function dropWhatIsTooLate(): void {
    dispatcher.dropAll((task) => task.batchId !== null && !endsInTime(task))
    live.abandonAll('drain', (request) => !request.hasBegun && !endsInTime(request))
  }

  async function within(ms: number, work: Promise<unknown>): Promise<void> {
    const limit = new AbortController()
    await Promise.race([work, clock.sleep(ms, limit.signal).catch(() => undefined)])
    limit.abort()
  }

  return {
    leaveBy(byMs) {
      machineGoes = true
      endAt(byMs - lastFlushMs - spareMs)
    },
    async run() {
      const leaves = machineGoes
      options.onBegin(leaves ? 'spot' : 'stop')
      if (!leaves) endAt(clock.now() + options.drainMs)
      const pulled = pulling.stop()
      const returnWaiting = () => {
        if (!leaves) chunks.returnAll('drain', { abort: false })
      }
      returnWaiting()
      const stopLooking = leaves ? clock.every(lookMs, dropWhatIsTooLate) : () => {}
      if (leaves) dropWhatIsTooLate()
      const idle = async () => {
        await pulled
        returnWaiting()
        await Promise.all([chunks.idle(), live.idle()])
      }
      await Promise.race([idle(), aborted(over.signal)])
      stopLooking()
      cancelEnd()
      chunks.returnAll('drain', { abort: true })
      live.abandonAll('drain')
      await within(lastFlushMs, idle())
      await flusher.drain(lastFlushMs)
      await options.close()
      await within(lastFlushMs, pulling.release())
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
