import { batchRequestId } from '@forebay/contracts'
import type { PlanEntry } from '@forebay/plan'
import type { FinishedRequest } from '../results/event-store.ts'
import type { LineEnd } from './line-task.ts'
import { outputLine } from './output-line.ts'

// Results on their way to the store at once: a popular answer must not be in memory a thousand times.
const storingMax = 256

interface Follower {
  readonly entry: PlanEntry
  readonly customId: string
  readonly receivedAtMs: number
  readonly resolve: () => void
}

/**
 * A request of a chunk that runs, and the lines with the same body: each gets its answer, under its own ids, or is
 * dropped with it. A line may join after the answer came.
 */
export class LineFamily {
  /** What is sent to the engine; a line may join only if its body is the same, byte for byte. */
  readonly body: Buffer
  readonly #store: (finished: FinishedRequest) => Promise<void>
  readonly #wanted: () => boolean
  #waiting: Follower[] = []
  #end: { kind: LineEnd | undefined } | undefined
  #sharing = false

  constructor(options: {
    body: Buffer
    /** Stores a result; resolves once that is done. */
    store: (finished: FinishedRequest) => Promise<void>
    /** False once nothing more should be said of the chunk. */
    wanted: () => boolean
  }) {
    this.body = options.body
    this.#store = options.store
    this.#wanted = options.wanted
  }

  /** Takes a line on. Resolves when its result is stored, or when it was dropped. */
  join(line: Omit<Follower, 'resolve'>): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ ...line, resolve })
      if (this.#end) void this.#share(this.#end.kind)
    })
  }

  /** The request ended, or was dropped: undefined. */
  end(end: LineEnd | undefined): void {
    this.#end = { kind: end }
    void this.#share(end)
  }

  async #share(end: LineEnd | undefined): Promise<void> {
    if (this.#sharing) return
    this.#sharing = true
    while (this.#waiting.length > 0) {
      const followers = this.#waiting.splice(0, storingMax)
      if (end && this.#wanted()) await Promise.all(followers.map((follower) => this.#store(sameAnswer(end, follower))))
      for (const { resolve } of followers) resolve()
    }
    this.#sharing = false
  }
}

function sameAnswer({ body, error, finished }: LineEnd, { customId, entry, receivedAtMs }: Follower): FinishedRequest {
  // What is to be counted once is told of the one that ran.
  const { discarded: _, quality: __, ...result } = finished.result
  const { batchId, finishedAtMs, requestBytes, statusCode } = result
  const requestId = batchRequestId(batchId ?? '', entry.line)
  return {
    line: outputLine({ id: requestId, customId, status: statusCode, body, error }),
    result: {
      ...result,
      requestId,
      customId,
      line: entry.line,
      queuedMs: Math.max(0, Math.round(finishedAtMs - receivedAtMs)),
      durationMs: 0,
      batcherMs: 0,
      source: 'identical',
      // The engine spent its time on the one that ran.
      gpuMs: 0,
      requestBytes: requestBytes && { ...requestBytes, offset: entry.offset, length: entry.length },
    },
  }
}
