import type { BatcherRequest } from './request.ts'

/** Requests that wait, in the order in which they should be let in. */
export interface WaitingLine {
  readonly size: number
  /** No request here is expected to be longer; that one may have left. */
  readonly estTokensMost: number
  add(request: BatcherRequest): void
  /** Puts it before all others: it had its turn already. */
  addFirst(request: BatcherRequest): void
  /** The first one for which `wanted` holds, among the first `lookMax`. */
  find(wanted: (request: BatcherRequest) => boolean, lookMax: number): BatcherRequest | undefined
  /** Takes one out, wherever it stands; false when it is not here. */
  remove(id: string): boolean
}

interface Order {
  add(request: BatcherRequest): void
  /** Shows those for which `live` holds to `show` until it answers true, forgetting dead ones on the way. */
  visit(live: (request: BatcherRequest) => boolean, show: (request: BatcherRequest) => boolean): void
  /** Forgets all: none is live any more. */
  clear(): void
}

// So many dead ones at a group's head are worth moving the others up.
const deadMax = 64

/** Prefix groups back to back in order of arrival, and within a group the order of arrival: the plan's order. */
export function makeGroupedLine(): WaitingLine {
  const groups = new Map<string, { requests: BatcherRequest[]; head: number }>()
  return makeLine({
    add(request) {
      const key = groupKey(request) ?? `=${request.id}`
      const group = groups.get(key)
      if (group) group.requests.push(request)
      else groups.set(key, { requests: [request], head: 0 })
    },
    visit(live, show) {
      for (const [key, group] of groups) {
        // A group may live as long as its batch, so what left it must not stay in memory.
        if (group.head >= deadMax && group.head * 2 >= group.requests.length) {
          group.requests = group.requests.slice(group.head)
          group.head = 0
        }
        let atHead = true
        for (let i = group.head; i < group.requests.length; i++) {
          const request = group.requests[i]
          if (request && live(request)) {
            if (show(request)) return
            atHead = false
          } else if (atHead) group.head = i + 1
        }
        if (atHead) groups.delete(key)
      }
    },
    clear: () => groups.clear(),
  })
}

/** What requests that share a prefix have in common; undefined for one that shares none. */
export function groupKey({ batchId, prefixGroup }: BatcherRequest): string | undefined {
  return prefixGroup === 0 ? undefined : `${batchId}:${prefixGroup}`
}

/** Earliest deadline first. */
export function makeDeadlineLine(): WaitingLine {
  const requests: BatcherRequest[] = []
  return makeLine({
    add(request) {
      let low = 0
      for (let high = requests.length; low < high; ) {
        const middle = (low + high) >>> 1
        if ((requests[middle]?.deadlineMs ?? 0) <= request.deadlineMs) low = middle + 1
        else high = middle
      }
      requests.splice(low, 0, request)
    },
    visit(live, show) {
      while (requests[0] && !live(requests[0])) requests.shift()
      for (const request of requests) if (live(request) && show(request)) return
    },
    clear() {
      requests.length = 0
    },
  })
}

// What left the line stays in the order until it comes to the front: removal is then O(1).
function makeLine(order: Order): WaitingLine {
  const live = new Map<string, BatcherRequest>()
  let front: BatcherRequest[] = []
  let estTokensMost = 0
  const come = (request: BatcherRequest) => {
    live.set(request.id, request)
    estTokensMost = Math.max(estTokensMost, request.estTokens)
  }
  const isLive = (request: BatcherRequest) => live.get(request.id) === request
  return {
    get size() {
      return live.size
    },
    get estTokensMost() {
      return estTokensMost
    },
    add(request) {
      come(request)
      order.add(request)
    },
    addFirst(request) {
      come(request)
      front.push(request)
    },
    find(wanted, lookMax) {
      if (live.size === 0) return undefined
      let looked = 0
      let found: BatcherRequest | undefined
      const show = (request: BatcherRequest) => {
        if (wanted(request)) found = request
        return found !== undefined || ++looked >= lookMax
      }
      front = front.filter(isLive)
      for (let i = front.length - 1; i >= 0; i--) {
        const request = front[i]
        if (request && show(request)) return found
      }
      const isFirst = front.length > 0 ? new Set(front) : undefined
      order.visit((request) => isLive(request) && !isFirst?.has(request), show)
      return found
    },
    remove(id) {
      const was = live.delete(id)
      if (was && live.size === 0) {
        order.clear()
        front = []
        estTokensMost = 0
      }
      return was
    },
  }
}
