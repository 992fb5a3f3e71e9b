import type { BatcherRequest } from './request.ts'

/** Requests that wait, in the order in which they will be let in. */
export interface WaitingLine {
  readonly size: number
  add(request: BatcherRequest): void
  /** Puts it before all others: it had its turn already. */
  addFirst(request: BatcherRequest): void
  peek(): BatcherRequest | undefined
  take(): BatcherRequest | undefined
  remove(id: string): boolean
}

interface Order {
  add(request: BatcherRequest): void
  /** The first one for which `live` holds, dropping those before it. */
  first(live: (request: BatcherRequest) => boolean): BatcherRequest | undefined
}

/** Prefix groups back to back in order of arrival, and within a group the order of arrival: the plan's order. */
export function makeGroupedLine(): WaitingLine {
  const groups = new Map<string, { requests: BatcherRequest[]; head: number }>()
  return makeLine({
    add(request) {
      const key = request.prefixGroup === 0 ? `=${request.id}` : `${request.batchId}:${request.prefixGroup}`
      const group = groups.get(key)
      if (group) group.requests.push(request)
      else groups.set(key, { requests: [request], head: 0 })
    },
    first(live) {
      for (const [key, group] of groups) {
        for (; group.head < group.requests.length; group.head++) {
          const request = group.requests[group.head]
          if (request && live(request)) return request
        }
        groups.delete(key)
      }
      return undefined
    },
  })
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
    first(live) {
      for (let head = requests[0]; head; head = requests[0]) {
        if (live(head)) return head
        requests.shift()
      }
      return undefined
    },
  })
}

// What left the line stays in the order until it comes to the front: removal is then O(1).
function makeLine(order: Order): WaitingLine {
  const live = new Map<string, BatcherRequest>()
  let front: BatcherRequest[] = []
  const isLive = (request: BatcherRequest) => live.get(request.id) === request
  const peek = () => {
    for (let head = front.at(-1); head; head = front.at(-1)) {
      if (isLive(head)) return head
      front.pop()
    }
    return order.first(isLive)
  }
  return {
    get size() {
      return live.size
    },
    add(request) {
      live.set(request.id, request)
      order.add(request)
    },
    addFirst(request) {
      live.set(request.id, request)
      front.push(request)
    },
    peek,
    take() {
      const request = peek()
      if (request) live.delete(request.id)
      if (live.size === 0) front = []
      return request
    },
    remove: (id) => live.delete(id),
  }
}
