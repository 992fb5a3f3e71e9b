import { provided } from './provided.ts'

/** The Redis that all tests of the run share: use keys of your own. */
export function redisUrl(): string {
  const run = provided()
  if (!run) throw new Error('redisUrl works under vitest only, with test/support/src/global-setup.ts')
  return run.redisUrl
}
