/** One model that may be in memory or out of it: an engine that sleeps and wakes, or an adapter of one. Times in ms. */
export interface Resident {
  readonly name: string
  /** For an adapter: the engine's own model, which must be awake as well. */
  readonly base?: string | undefined
  /**
   * `coming`: it wakes or is loaded. `leaving`: it is given nothing more, and goes once nothing of it is in flight. An
   * adapter is `in` while loaded, whether its base is awake or not.
   */
  readonly state: 'in' | 'out' | 'coming' | 'leaving'
  /** Memory while in, and while out. An adapter takes none while its base is out. */
  readonly inBytes: number
  readonly outBytes: number
  readonly inFlight: number
  readonly waiting: number
  readonly waitingLive: number
  /** Since when the oldest of them waits; undefined when none does. */
  readonly waitingSinceMs: number | undefined
  readonly lastUsedMs: number
  /** When it last came in. */
  readonly cameMs: number
  /** Not to be brought in before: a try failed. */
  readonly notBeforeMs: number
}

/** How carefully models are changed. */
export interface ResidencyPace {
  /** What came in stays so long. */
  readonly holdMs: number
  /** What has waited so long may have the place of a model that has work itself. */
  readonly turnMs: number
}

/** What is to change now. */
export interface ResidencyMoves {
  /** To be brought in at once: there is room. */
  readonly bring: readonly string[]
  /** To be given nothing more, and put out as soon as nothing of it is in flight. */
  readonly release: readonly string[]
}

/**
 * Decides what comes into memory and what leaves it. Guarantees: what is in, coming and leaving never exceeds the budget
 * together; nothing is released within `holdMs` of its coming; a model that has waited for `turnMs` goes before all that
 * came to wait later, so that nobody waits for ever. Live requests go before batches; who leaves is who has nothing to do,
 * the least recently used first.
 */
export function decideResidency(options: {
  residents: readonly Resident[]
  budgetBytes: number
  nowMs: number
  pace: ResidencyPace
}): ResidencyMoves {
  const { budgetBytes, nowMs, pace, residents } = options
  const byName = new Map(residents.map((each) => [each.name, each]))
  const bring: string[] = []
  const release: string[] = []
  const works = (each: Resident) => each.state === 'in' && baseOf(each)?.state !== 'out'
  const baseOf = ({ base }: Resident) => (base === undefined ? undefined : byName.get(base))
  const adaptersOf = (each: Resident) => residents.filter(({ base }) => base === each.name)
  const loadedBytes = (each: Resident) =>
    adaptersOf(each).reduce((sum, { inBytes, state }) => sum + (state === 'out' ? 0 : inBytes), 0)
  let free = budgetBytes - residents.reduce((sum, each) => sum + heldBytes(each), 0)

  function heldBytes(each: Resident): number {
    if (each.state === 'out') return each.outBytes
    return baseOf(each)?.state === 'out' ? 0 : each.inBytes
  }

  /** What must still come for it to work, the base first. */
  function missing(each: Resident): Resident[] {
    const base = baseOf(each)
    return [base, each].flatMap((part) => (part?.state === 'out' ? [part] : []))
  }

  /** All that goes when it goes: an engine's adapters sleep with it. */
  function group(each: Resident): Resident[] {
    return [each, ...adaptersOf(each).filter(({ state }) => state !== 'out')]
  }

  const aged = (each: Resident) => nowMs - (each.waitingSinceMs ?? nowMs) >= pace.turnMs
  const urgency = (each: Resident) => (aged(each) ? 2 : each.waitingLive > 0 ? 1 : 0)
  const wanted = residents
    .filter((each) => each.waiting > 0 && !works(each) && isSettled(each) && isSettled(baseOf(each)))
    .filter((each) => missing(each).every((part) => part.notBeforeMs <= nowMs))
    .sort((a, b) => urgency(b) - urgency(a) || (a.waitingSinceMs ?? nowMs) - (b.waitingSinceMs ?? nowMs))

  // Whoever started an engine beside us may have filled the memory.
  for (const victim of victimsFor(undefined)) {
    if (free + leavingBytes() >= 0) break
    release.push(victim.name)
  }
  for (const each of wanted) {
    const parts = missing(each)
    // One that comes wakes with the adapters that it had.
    const needs = parts.reduce(
      (sum, part) => sum + part.inBytes - part.outBytes + (part.base === undefined ? loadedBytes(part) : 0),
      0,
    )
    if (needs <= free) {
      free -= needs
      // An adapter can be loaded once its base is awake: at the next look.
      const first = parts[0]
      if (first && !bring.includes(first.name)) bring.push(first.name)
      continue
    }
    let coming = free + leavingBytes()
    for (const victim of victimsFor(each)) {
      if (coming >= needs) break
      const gives = freedBy(victim)
      coming += gives
      release.push(victim.name)
    }
    // What is free is kept for it: whoever needs less and came later must not take it away again and again.
    free = Math.min(free, 0)
  }
  return { bring, release: [...new Set(release)] }

  function leavingBytes(): number {
    return residents.reduce(
      (sum, each) => sum + (each.state === 'leaving' || release.includes(each.name) ? freedBy(each) : 0),
      0,
    )
  }

  function freedBy(victim: Resident): number {
    return victim.inBytes - victim.outBytes + (victim.base === undefined ? loadedBytes(victim) : 0)
  }

  /** Who may leave for it; for nobody in particular, where the budget is passed already. */
  function victimsFor(each: Resident | undefined): Resident[] {
    const own = new Set(each ? [each.name, each.base] : [])
    return residents
      .filter(
        (victim) => victim.state === 'in' && works(victim) && !own.has(victim.name) && !release.includes(victim.name),
      )
      .filter((victim) => !bring.includes(victim.name) && group(victim).every(({ state }) => state === 'in'))
      .filter((victim) => freedBy(victim) > 0 && (each === undefined || isHeldLongEnough(victim)))
      .map((victim) => ({ victim, rank: rankOf(group(victim)) }))
      .filter(({ rank }) => each === undefined || rank <= urgency(each))
      .sort((a, b) => a.rank - b.rank || lastUsedOf(a.victim) - lastUsedOf(b.victim))
      .map(({ victim }) => victim)
  }

  /** How much its leaving costs: 0 nobody needs it, 1 batches wait for it, 2 live requests do. */
  function rankOf(all: readonly Resident[]): number {
    if (all.some(({ waitingLive }) => waitingLive > 0)) return 2
    return all.some(({ inFlight, waiting }) => inFlight > 0 || waiting > 0) ? 1 : 0
  }

  function isHeldLongEnough(victim: Resident): boolean {
    return group(victim).every(({ cameMs }) => nowMs - cameMs >= pace.holdMs)
  }

  function lastUsedOf(victim: Resident): number {
    return Math.max(...group(victim).map(({ lastUsedMs }) => lastUsedMs))
  }
}

function isSettled(each: Resident | undefined): boolean {
  return each?.state !== 'coming' && each?.state !== 'leaving'
}
