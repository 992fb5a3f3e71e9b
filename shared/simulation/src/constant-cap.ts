import {
  type BatcherRequest,
  type EngineSample,
  makeDeadlineLine,
  makeGroupedLine,
  makeLearnedLengths,
  makeTokenBudget,
  type PerLane,
} from '@forebay/batcher'
import type { Lane } from '@forebay/contracts'
import type { Gate } from './simulate.ts'

/**
 * What most feeders do: at most `cap` requests at the engine, live ones first. A live request never waits for a seat;
 * batch work gets those that are left. Same order and the same bound on KV memory as the batcher's, and nothing else.
 */
export function makeConstantCap(options: { cap: number }): Gate {
  const { cap } = options
  const lengths = makeLearnedLengths()
  const budget = makeTokenBudget()
  const lines = { realtime: makeDeadlineLine(), standard: makeGroupedLine(), batch: makeGroupedLine() }
  const running = new Map<string, { request: BatcherRequest; tokens: number }>()
  const inFlight: PerLane = { realtime: 0, standard: 0, batch: 0 }
  let tokens = 0

  const start = (request: BatcherRequest) => {
    const { outputTokens, promptTokens } = lengths.estimate(request)
    lines[request.lane].remove(request.id)
    running.set(request.id, { request, tokens: promptTokens + outputTokens })
    tokens += promptTokens + outputTokens
    inFlight[request.lane]++
    return request
  }
  return {
    add(request, { first = false }) {
      if (first) lines[request.lane].addFirst(request)
      else lines[request.lane].add(request)
    },
    admit() {
      const admitted: BatcherRequest[] = []
      const first = (lane: Lane) => lines[lane].find(() => true, 1)
      for (let next = first('realtime'); next; next = first('realtime')) admitted.push(start(next))
      for (const lane of ['standard', 'batch'] as const) {
        while (running.size < cap) {
          const next = first(lane)
          if (!next || tokens > (budget.capacity() ?? Number.POSITIVE_INFINITY)) break
          admitted.push(start(next))
        }
      }
      return admitted
    },
    progressed() {},
    finished(id, usage) {
      const entry = running.get(id)
      if (!entry) return
      running.delete(id)
      inFlight[entry.request.lane]--
      tokens -= entry.tokens
      if (usage) lengths.learn(entry.request, usage)
    },
    victims: () => [],
    observe: (sample: EngineSample) => budget.observe(sample, tokens),
    nextDueMs: () => undefined,
    counts: () => ({
      waiting: { realtime: lines.realtime.size, standard: lines.standard.size, batch: lines.batch.size },
      inFlight: { ...inFlight },
      tokens,
      tokensMax: budget.capacity(),
      ceiling: cap,
      liveCeiling: Number.MAX_SAFE_INTEGER,
    }),
  }
}
