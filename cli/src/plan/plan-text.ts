import type { CapacityOption, CapacityPlan } from '@forebay/capacity'
import { table } from '../text.ts'

const rowsMax = 12

/** The options of a plan as a table: what fits, cheapest first. */
export function optionsTable({ options }: CapacityPlan, currency: string): string {
  const fit = options.filter(({ speed }) => speed !== null).slice(0, rowsMax)
  if (fit.length === 0) return 'No GPU holds it.'
  return table(
    [
      'GPU',
      'PER REPLICA',
      'REPLICAS',
      'IN FLIGHT',
      'REQ/S EACH',
      'FIRST TOKEN',
      'BETWEEN',
      `${currency}/MONTH`,
      '/M TOKENS',
      'MISSES',
    ],
    fit.map(row),
  )
}

function row({ costPerMillionTokens, gpu, gpusPerReplica, misses, monthlyCost, replicas, speed }: CapacityOption) {
  return [
    ...[gpu, gpusPerReplica, replicas, speed?.inFlight, speed?.requestsPerSecond.toFixed(2)],
    ...[speed && `${speed.ttftMs.toFixed(0)} ms`, speed && `${speed.interTokenMs.toFixed(1)} ms`],
    ...[monthlyCost?.toFixed(0), costPerMillionTokens?.toFixed(2)],
    misses.join('; '),
  ]
}

/** The best of a plan in a sentence: what to run, or what stands against the nearest. */
export function verdict({ chosen, options }: CapacityPlan, currency: string): string {
  if (chosen) {
    const { gpu, gpusPerReplica, monthlyCost, replicas } = chosen
    const price = monthlyCost === null ? 'no price known' : `${monthlyCost.toFixed(0)} ${currency} a month`
    return `Run ${replicas} x (${gpusPerReplica} x ${gpu}): ${price}.`
  }
  const [nearest] = options
  return `Nothing meets all of it. Nearest, ${nearest?.gpusPerReplica} x ${nearest?.gpu}: ${nearest?.misses.join('; ')}.`
}
