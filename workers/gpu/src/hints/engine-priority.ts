import type { Lane } from '@forebay/contracts'

// Further apart than the steps of slack can reach: no slack lifts a request over a lane above its own.
const firstOfLane: Record<Lane, number> = { realtime: 0, standard: 32, batch: 64 }
const stepsMax = 31

/**
 * A request's place in the engine's own queue, as vLLM counts: lower goes first, and 0 is what a request has that says
 * nothing. By lane; within a lane by the time left until the deadline, in steps that double from one second, so that
 * requests of about the same urgency keep the order in which they came and the plan's prefix groups stay together.
 */
export function enginePriority(request: { lane: Lane; slackMs: number }): number {
  const step = Math.ceil(Math.log2(Math.max(1, request.slackMs / 1_000)))
  return firstOfLane[request.lane] + Math.min(stepsMax, step)
}
