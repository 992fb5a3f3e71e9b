import { Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** A registry of one process's metrics; passed in, never a module singleton. */
export function makeRegistry(): Registry {
  return new Registry()
}
