import { inject } from 'vitest'

/** What the global setup hands to the tests of one run. */
export interface Provided {
  /** A superuser's connection string to the run's Postgres. */
  postgresUrl: string
  redisUrl: string
  /** Names the run in what it makes on servers that outlive it. */
  runId: string
  /** Holds every temporary folder of the run. */
  tempRoot: string
}

declare module 'vitest' {
  interface ProvidedContext extends Provided {}
}

/** The run's servers; undefined outside vitest, in a script. */
export function provided(): Provided | undefined {
  if (!process.env['VITEST_WORKER_ID']) return undefined
  return {
    postgresUrl: inject('postgresUrl'),
    redisUrl: inject('redisUrl'),
    runId: inject('runId'),
    tempRoot: inject('tempRoot'),
  }
}
