import type { Lane } from '@forebay/contracts'
import type { EngineView } from './engine-view.ts'
import type { FreeRoom } from './free-room.ts'
import { floorOf } from './lane-shares.ts'
import type { StepOutlook } from './latency-rule.ts'
import type { BatcherRequest, PerLane } from './request.ts'
import { lowOf, sumOf } from './running-requests.ts'
import { groupKey, type WaitingLine } from './waiting-line.ts'
import type { WaitingRoom } from './waiting-room.ts'

// So many waiting requests are looked at for one that fits, beside live requests and otherwise.
const lookMax = 256
const lookFewMax = 32
// Without live requests about: prompt tokens sent at once, beyond which shorter prompts are preferred.
const prefillMixTokens = 8_192
// A lane below its floor gets a request in so often, whatever the latency.
const floorEveryMs = 500

/** Which request of a lane goes next. */
export interface NextRequest {
  /** The next request of a lane that may start now, as far as latency, order and memory go. */
  choose(lane: Lane, nowMs: number): BatcherRequest | undefined
  /** It starts. */
  started(request: BatcherRequest, nowMs: number): void
  /** When a lane's floor lets it go on (epoch ms); since `beginLook`. */
  readonly floorDueMs: number | undefined
  /** Every lane is asked anew. */
  beginLook(): void
}

/** The next step with one more request in it, for the latency rule. */
export function outlookOf({ live, pending, running }: EngineView, nowMs: number): StepOutlook {
  const [pendingSinceMs] = pending.values()
  const [quiet, livePerSecond] = [live.isQuiet(nowMs), live.ratePerSecond(nowMs)]
  return { nowMs, requests: sumOf(running.count) + 1, pendingSinceMs, quiet, livePerSecond }
}

/** Chooses from the lanes' lines. */
export function makeNextRequest(deps: { view: EngineView; room: WaitingRoom; free: FreeRoom }): NextRequest {
  const { free, view } = deps
  const { lengths, live, pace, rule, seats } = view
  const { lines } = deps.room
  const { count } = view.running
  /** The request of each prefix group whose prompt is being computed: others of the group will find it cached. */
  const leaders = new Map<string, string>()
  const lastMs: PerLane = { realtime: 0, standard: 0, batch: 0 }
  let floorDueMs: number | undefined

  const freshOf = (request: BatcherRequest) => lengths.estimate(request).freshTokens

  function leaderRuns(request: BatcherRequest): boolean {
    const key = groupKey(request)
    const leader = key === undefined ? undefined : leaders.get(key)
    if (key === undefined || leader === undefined) return false
    if (pace.has(leader)) return true
    leaders.delete(key)
    return false
  }
  const isFree = (request: BatcherRequest) => !leaderRuns(request)

  /** At the end of all work the longest goes first, so that the last ones end together. */
  function longest(line: WaitingLine): BatcherRequest | undefined {
    let found: BatcherRequest | undefined
    line.find((request) => {
      if (request.estTokens > (found?.estTokens ?? 0) && isFree(request)) found = request
      // Where all are alike, the first is as good as any.
      return found !== undefined && found.estTokens >= line.estTokensMost
    }, lookMax)
    return found
  }

  /** A lane below its floor goes on slowly, whatever the latency: it must not starve. The shortest prompt goes. */
  function floorTurn(lane: Lane, nowMs: number): BatcherRequest | undefined {
    if (count[lane] >= floorOf(seats.ceiling)) return undefined
    const dueMs = lastMs[lane] + floorEveryMs
    if (nowMs < dueMs) {
      floorDueMs = Math.min(floorDueMs ?? dueMs, dueMs)
      return undefined
    }
    let found: BatcherRequest | undefined
    lines[lane].find((request) => {
      if (!found || freshOf(request) < freshOf(found)) found = request
      return false
    }, lookFewMax)
    return found
  }

  function besideLive(lane: Lane, nowMs: number): BatcherRequest | undefined {
    const tokens = free.engineQueues(lane, nowMs) ? 0 : rule.room(outlookOf(view, nowMs))
    const fitting =
      tokens > 0 ? lines[lane].find((request) => freshOf(request) <= tokens && isFree(request), lookMax) : undefined
    return fitting ?? floorTurn(lane, nowMs)
  }

  /** Prompts that fit into what is mixed with the answers under way go first. */
  function mixed(line: WaitingLine): BatcherRequest | undefined {
    const tokens = prefillMixTokens - pace.now - pace.next
    const fitting =
      tokens > 0 ? line.find((request) => freshOf(request) <= tokens && isFree(request), lookFewMax) : undefined
    return fitting ?? line.find(isFree, lookFewMax)
  }

  function candidate(lane: Lane, nowMs: number): BatcherRequest | undefined {
    const line = lines[lane]
    if (lane === 'realtime') return line.find(() => true, 1)
    if (live.isRecent(nowMs)) return besideLive(lane, nowMs)
    return line.size <= lowOf(count) ? longest(line) : mixed(line)
  }

  return {
    choose(lane, nowMs) {
      const chosen = candidate(lane, nowMs)
      return chosen && free.fits(chosen, nowMs) ? chosen : undefined
    },
    started(request, nowMs) {
      const key = groupKey(request)
      if (key !== undefined && !leaders.has(key)) leaders.set(key, request.id)
      if (request.lane !== 'realtime') lastMs[request.lane] = nowMs
    },
    get floorDueMs() {
      return floorDueMs
    },
    beginLook() {
      floorDueMs = undefined
    },
  }
}
