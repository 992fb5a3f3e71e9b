import { ApiError } from './api-error.ts'
import type { FailureKind } from './failures.ts'
import type { Sim } from './sim.ts'

/** Acts out the failures that need no answer under way; true when the request is to be left without one. */
export function failEarly(sim: Sim, kind: FailureKind | undefined): boolean {
  const retryAfterS = sim.failures.rates.retryAfterS ?? 1
  switch (kind) {
    case '500':
      throw new ApiError(500, 'Injected failure: internal server error.')
    case '503':
      throw new ApiError(503, 'Injected failure: the engine is overloaded.', null, retryAfterS)
    case '429':
      throw new ApiError(429, 'Injected failure: too many requests.', null, retryAfterS)
    case 'hang':
      return true
    case 'crash':
      sim.crash()
      return true
    case 'wedge':
      sim.engine.wedged = true
      return false
    default:
      return false
  }
}
