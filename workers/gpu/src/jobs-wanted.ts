import type { BatcherCounts } from '@forebay/batcher'
import type { Lane } from '@forebay/contracts'

// Realtime requests a worker holds at most, as a multiple of its seats: beyond that they wait in the queue.
const realtimeOnHandFactor = 4

/**
 * How many jobs of a lane a worker should pull. With more requests not ended, they would only wait here instead of
 * where another worker could take them.
 */
export function jobsWanted(
  lane: Lane,
  state: Pick<BatcherCounts, 'ceiling' | 'liveCeiling'> & {
    /** Requests of the lane here without a result. */
    onHand: number
    chunkRequests: number
  },
): number {
  const { ceiling, chunkRequests, liveCeiling, onHand } = state
  if (lane === 'realtime') {
    return Math.max(onHand < realtimeOnHandFactor * liveCeiling ? 1 : 0, liveCeiling - onHand)
  }
  return Math.max(0, Math.ceil((2 * ceiling - onHand) / chunkRequests))
}
