import { makeTokenRates, type TokenRates } from './token-rates.ts'

/** Time of the engine since the interval before, that no request ended with. In whole microseconds of a GPU. */
export interface EngineInterval {
  fromMs: number
  toMs: number
  /** Nothing ran. */
  idleMicros: number
  /** For requests that ended here without a result, as those handed back. */
  unfinishedMicros: number
}

/**
 * Shares out the wall time of one engine. Whatever happens, in whole microseconds and without a remainder:
 *
 *   Σ settled + Σ idle + Σ unfinished + what running requests have so far = wall time × GPUs
 */
export interface EngineMeter {
  /** An attempt of a request begins at the engine. */
  begin(id: string, promptTokens: number, nowMs: number): void
  /** Its first token came. */
  firstToken(id: string, nowMs: number): void
  /** The attempt is over; what it took stays on the request's account. Unknown ids are ignored. */
  leave(id: string, nowMs: number): void
  /** The request ended with a result: answers what all its attempts took, and closes its account. */
  settle(id: string, usage: { promptTokens: number; completionTokens: number } | null, nowMs: number): number
  /** It ended without one: what it took is told with the next interval. Unknown ids are ignored. */
  abandon(id: string, nowMs: number): void
  /** What nobody was told of yet. */
  takeInterval(nowMs: number): EngineInterval
  /** When the last interval was taken. */
  readonly takenMs: number
}

interface Running {
  account: Account
  beganMs: number
  firstTokenMs: number | undefined
  promptTokens: number
  /** Of its prompt, tokens thought not to be read yet. */
  prefillLeft: number
  /** Its tokens in the stretch of time being shared out. */
  weight: number
  /** Its place in the list of those running. */
  place: number
}

interface Account {
  micros: number
}

/**
 * Makes a meter. Between two events the time is split among the requests in flight by their tokens in it: those of
 * the prompt, read at the learned rate and all by the first token, and then one for each step of the engine, which is
 * the same for all that decode together. Time at which nothing is in flight is idle. A clock that goes back stands.
 */
export function makeEngineMeter(options: { gpus: number; startMs: number }): EngineMeter {
  const rates = makeTokenRates()
  const accounts = new Map<string, Account>()
  const running = new Map<string, Running>()
  // The same requests: each of them is looked at whenever time passes, and a list is gone through faster than a map.
  const list: Running[] = []
  let atMs = options.startMs
  let takenMs = options.startMs
  let idleMicros = 0
  let unfinishedMicros = 0

  const leave = (id: string) => {
    const request = running.get(id)
    const last = list.at(-1)
    if (!request || !last) return
    running.delete(id)
    list.pop()
    if (last === request) return
    last.place = request.place
    list[last.place] = last
  }

  const advance = (nowMs: number) => {
    const ms = Math.round((nowMs - atMs) * 1000) / 1000
    if (!(ms > 0)) return
    atMs = nowMs
    const micros = Math.round(ms * 1000) * options.gpus
    if (list.length === 0) {
      idleMicros += micros
      return
    }
    shareOut(list, micros, weighAll(list, ms, rates))
  }

  const accountOf = (id: string): Account => {
    const account = accounts.get(id) ?? { micros: 0 }
    accounts.set(id, account)
    return account
  }

  return {
    get takenMs() {
      return takenMs
    },
    begin: (id, promptTokens, nowMs) => {
      advance(nowMs)
      const account = accountOf(id)
      const prompt = Math.max(1, promptTokens)
      leave(id)
      const request: Running = {
        account,
        beganMs: atMs,
        firstTokenMs: undefined,
        promptTokens: prompt,
        prefillLeft: prompt,
        weight: 0,
        place: list.length,
      }
      running.set(id, request)
      list.push(request)
    },
    firstToken: (id, nowMs) => {
      const request = running.get(id)
      if (!request || request.firstTokenMs !== undefined) return
      advance(nowMs)
      request.firstTokenMs = atMs
      request.prefillLeft = 0
    },
    leave: (id, nowMs) => {
      if (!running.has(id)) return
      advance(nowMs)
      leave(id)
    },
    settle: (id, usage, nowMs) => {
      advance(nowMs)
      const request = running.get(id)
      if (request && usage) {
        const prefillMs = request.firstTokenMs === undefined ? undefined : request.firstTokenMs - request.beganMs
        const readMs = prefillMs ?? request.promptTokens / rates.prefill
        const { completionTokens, promptTokens } = usage
        rates.learn({ promptTokens, prefillMs, completionTokens, decodeMs: atMs - request.beganMs - readMs })
      }
      leave(id)
      const { micros } = accountOf(id)
      accounts.delete(id)
      return micros
    },
    abandon: (id, nowMs) => {
      const account = accounts.get(id)
      if (!account) return
      advance(nowMs)
      unfinishedMicros += account.micros
      leave(id)
      accounts.delete(id)
    },
    takeInterval: (nowMs) => {
      advance(nowMs)
      const interval = { fromMs: takenMs, toMs: atMs, idleMicros, unfinishedMicros }
      takenMs = atMs
      idleMicros = 0
      unfinishedMicros = 0
      return interval
    },
  }
}

/** Sets each one's tokens in the next `ms`; answers their sum. */
function weighAll(running: readonly Running[], ms: number, { decode, prefill }: TokenRates): number {
  let total = 0
  for (const request of running) {
    const read = Math.min(request.prefillLeft, prefill * ms)
    request.prefillLeft -= read
    request.weight = read > 0 ? read + Math.max(0, ms - read / prefill) * decode : decode * ms
    total += request.weight
  }
  return total
}

/** Gives each its share by weight, cut at whole microseconds of the running sum, so that nothing is lost or doubled. */
function shareOut(running: readonly Running[], micros: number, total: number): void {
  let weightSoFar = 0
  let given = 0
  let left = running.length
  for (const { account, weight } of running) {
    weightSoFar += weight
    const upTo = --left === 0 ? micros : Math.min(micros, Math.floor((micros * weightSoFar) / total))
    account.micros += upTo - given
    given = upTo
  }
}
