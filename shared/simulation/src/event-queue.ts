/** Things to happen at given times, earliest first and, at one time, in the order in which they were put in. */
export interface EventQueue {
  at(timeMs: number, run: () => void): void
  /** Time of the next one; undefined when there is none. */
  nextMs(): number | undefined
  /** Takes the next one. */
  take(): { timeMs: number; run: () => void } | undefined
}

interface Event {
  timeMs: number
  order: number
  run: () => void
}

/** An empty queue: a binary heap. */
export function makeEventQueue(): EventQueue {
  const heap: Event[] = []
  let order = 0
  const before = (a: Event | undefined, b: Event | undefined) =>
    a !== undefined && b !== undefined && (a.timeMs - b.timeMs || a.order - b.order) < 0
  const swap = (i: number, j: number) => {
    const [a, b] = [heap[i], heap[j]]
    if (a && b) {
      heap[i] = b
      heap[j] = a
    }
  }
  return {
    at(timeMs, run) {
      let i = heap.push({ timeMs, order: order++, run }) - 1
      for (let parent = (i - 1) >> 1; i > 0 && before(heap[i], heap[parent]); parent = (i - 1) >> 1) {
        swap(i, parent)
        i = parent
      }
    },
    nextMs: () => heap[0]?.timeMs,
    take() {
      const first = heap[0]
      const last = heap.pop()
      if (!first || !last || heap.length === 0) return first
      heap[0] = last
      for (let i = 0; ; ) {
        const [left, right] = [2 * i + 1, 2 * i + 2]
        const child = before(heap[right], heap[left]) ? right : left
        if (!before(heap[child], heap[i])) break
        swap(i, child)
        i = child
      }
      return first
    },
  }
}
