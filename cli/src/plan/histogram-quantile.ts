const line = /^(\w+)\{(.*)\} (\S+)$/

/**
 * A quantile of a histogram in Prometheus text, over all its series, as Prometheus works it out: evenly within a bucket.
 * Null when nothing was observed, or there is no such histogram. What lies beyond the last bound counts as that bound.
 */
export function histogramQuantile(text: string, name: string, quantile: number): number | null {
  const counts = new Map<number, number>()
  for (const each of text.split('\n')) {
    const [, metric, labels = '', value] = line.exec(each) ?? []
    if (metric !== `${name}_bucket`) continue
    const bound = Number((/le="([^"]+)"/.exec(labels)?.[1] ?? '').replace('+Inf', 'Infinity'))
    counts.set(bound, (counts.get(bound) ?? 0) + Number(value))
  }
  const buckets = [...counts].sort(([a], [b]) => a - b)
  const all = buckets.at(-1)?.[1] ?? 0
  if (all === 0) return null
  let [from, below] = [0, 0]
  for (const [bound, upTo] of buckets) {
    if (upTo >= quantile * all) {
      return bound === Infinity ? from : from + ((bound - from) * (quantile * all - below)) / (upTo - below)
    }
    ;[from, below] = [bound, upTo]
  }
  return from
}
