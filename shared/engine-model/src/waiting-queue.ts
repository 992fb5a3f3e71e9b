/** How the engine orders what waits: by arrival, or by priority (lower first) and then arrival. */
export type SchedulingPolicy = 'fcfs' | 'priority'

export interface Queued {
  readonly priority: number
  /** Rises with every request, never repeats. */
  readonly arrival: number
  /** False once the entry was aborted: it is dropped when it reaches the front. */
  readonly live: boolean
}

/** Negative when `a` goes first. Arrival decides under `fcfs`, so a preempted request is ahead of all that came later. */
export function compareQueued(policy: SchedulingPolicy, a: Queued, b: Queued): number {
  return (policy === 'priority' ? a.priority - b.priority : 0) || a.arrival - b.arrival
}

/** A binary heap of waiting requests. */
export class WaitingQueue<T extends Queued> {
  readonly #policy: SchedulingPolicy
  #heap: T[] = []

  constructor(policy: SchedulingPolicy) {
    this.#policy = policy
  }

  push(item: T): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = heap[parentAt]
      if (!parent || compareQueued(this.#policy, parent, item) <= 0) break
      heap[at] = parent
      at = parentAt
    }
    heap[at] = item
  }

  /** The next live entry, left in place. */
  peek(): T | undefined {
    while (this.#heap[0] && !this.#heap[0].live) this.#removeFirst()
    return this.#heap[0]
  }

  /** Takes the next live entry. */
  pop(): T | undefined {
    const first = this.peek()
    if (first) this.#removeFirst()
    return first
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let at = 0
    for (;;) {
      let childAt = at * 2 + 1
      let child = heap[childAt]
      if (!child) break
      const right = heap[childAt + 1]
      if (right && compareQueued(this.#policy, right, child) < 0) {
        child = right
        childAt++
      }
      if (compareQueued(this.#policy, last, child) <= 0) break
      heap[at] = child
      at = childAt
    }
    heap[at] = last
  }
}
