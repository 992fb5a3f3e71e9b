/** Random numbers that a seed decides, so that a run can be repeated. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** Exponential, with the mean given. */
  exponential(mean: number): number
  /** A whole number, log-normal around `median` with spread `sigma`, within 1 and `max`. */
  tokens(median: number, sigma: number, max: number): number
}

/** Mulberry32. */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  return {
    next,
    exponential: (mean) => -mean * Math.log(1 - next()),
    tokens: (median, sigma, max) => Math.max(1, Math.min(max, Math.round(median * Math.exp(sigma * normal())))),
  }
}
