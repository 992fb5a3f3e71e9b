/** What a gatherer must know of a request whose inputs may share an engine call with others'. */
export interface GatherItem {
  readonly id: string
  /** Only requests with the same key share a call. */
  readonly key: string
  readonly inputs: number
  /** Of all its inputs together, estimated. */
  readonly tokens: number
}

/** How much is gathered into one call, and for how long. */
export interface GatherLimits {
  readonly inputsMax: number
  readonly tokensMax: number
  readonly waitMs: number
}

/** Gathers requests into engine calls. Pure: no timers, time is an argument. */
export interface Gatherer<T extends GatherItem> {
  add(item: T, nowMs: number): void
  /** Takes out one that waits; false when it does not wait here. */
  remove(id: string): boolean
  /** The calls to make now, each of at least one request; each counts as under way until `ended`. */
  take(nowMs: number): T[][]
  /** A call that `take` answered is over. */
  ended(): void
  /** The engine takes no more than so many inputs of this key in a call. */
  limitKey(key: string, inputsMax: number): void
  /** When, without anything else happening, `take` should be asked again (epoch ms). */
  nextDueMs(): number | undefined
}

interface Group<T> {
  readonly dueMs: number
  readonly items: T[]
  inputs: number
  tokens: number
}

// Keys whose limit was found out; more than a deployment has models.
const keysMax = 1_000

/**
 * Trades a little latency for far fewer calls, and only while the engine is at work anyway: with no call under way
 * nothing waits. A request too large to share goes alone.
 */
export function makeGatherer<T extends GatherItem>(limits: GatherLimits): Gatherer<T> {
  const open = new Map<string, Group<T>>()
  const full: T[][] = []
  const found = new Map<string, number>()
  let underWay = 0

  const inputsMaxOf = (key: string) => Math.min(limits.inputsMax, found.get(key) ?? limits.inputsMax)

  function close(key: string, group: Group<T>): void {
    open.delete(key)
    full.push(group.items)
  }

  return {
    add(item, nowMs) {
      const most = inputsMaxOf(item.key)
      if (item.inputs >= most || item.tokens >= limits.tokensMax) {
        full.push([item])
        return
      }
      let group = open.get(item.key)
      if (group && (group.inputs + item.inputs > most || group.tokens + item.tokens > limits.tokensMax)) {
        close(item.key, group)
        group = undefined
      }
      group ??= { dueMs: nowMs + limits.waitMs, items: [], inputs: 0, tokens: 0 }
      open.set(item.key, group)
      group.items.push(item)
      group.inputs += item.inputs
      group.tokens += item.tokens
      if (group.inputs === most) close(item.key, group)
    },
    remove(id) {
      for (const [key, group] of open) {
        const at = group.items.findIndex((item) => item.id === id)
        const [item] = at < 0 ? [] : group.items.splice(at, 1)
        if (!item) continue
        group.inputs -= item.inputs
        group.tokens -= item.tokens
        if (group.items.length === 0) open.delete(key)
        return true
      }
      return false
    },
    take(nowMs) {
      const calls = full.splice(0)
      for (const [key, group] of open) {
        if (group.dueMs > nowMs && underWay + calls.length > 0) continue
        open.delete(key)
        calls.push(group.items)
      }
      underWay += calls.length
      return calls
    },
    ended() {
      underWay--
    },
    limitKey(key, inputsMax) {
      found.delete(key)
      found.set(key, Math.max(1, inputsMax))
      const [oldest] = found.keys()
      if (found.size > keysMax && oldest !== undefined) found.delete(oldest)
    },
    nextDueMs() {
      const [first] = open.values()
      return first?.dueMs
    },
  }
}
