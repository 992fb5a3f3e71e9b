import type { PoolSpec } from '@forebay/pools'
import type { Residents } from './open-resident-engines.ts'

/** The engines that the configuration file gives each worker of a pool; undefined when it names none. */
export function residentsOf(pool: Partial<Pick<PoolSpec, 'engines' | 'engineMemoryGb'>>): Residents | undefined {
  const { engineMemoryGb, engines } = pool
  if (engines === undefined || engineMemoryGb === undefined) return undefined
  return {
    budgetGb: engineMemoryGb,
    engines: engines.map(({ memoryGb, ...engine }) => ({ ...engine, awakeGb: memoryGb })),
  }
}
