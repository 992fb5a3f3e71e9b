import type { EngineRequest } from '@forebay/engine-model'
import { FixedEngine } from './fixed-engine.ts'
import type { Settings } from './settings.ts'
import { SteppedEngine } from './stepped-engine.ts'

/** One generation given to an engine. */
export interface EngineWork extends EngineRequest {
  /** Called when tokens appear; `generated` counts all so far, `outputTokens` means complete. Not called after `abort`. */
  onProgress(generated: number, cachedTokens: number): void
}

/** The engine on real time, behind the HTTP server. */
export interface Engine {
  readonly running: number
  readonly waiting: number
  readonly kvUsage: number
  readonly preemptions: number
  readonly prefixCacheQueries: number
  readonly prefixCacheHits: number
  readonly steps: number
  /** A wedged engine accepts work and makes no progress. */
  wedged: boolean
  /** Queues work that fits `maxModelLen`. Progress may be reported before this returns. */
  submit(work: EngineWork): void
  /** Drops work and frees its seat and KV at once; no-op when it is not in the engine. */
  abort(work: EngineWork): void
  /** Stops the timers; idempotent. */
  stop(): void
}

/** The engine that the profile asks for. */
export function makeEngine(settings: Settings): Engine {
  const { profile } = settings
  return profile.kind === 'steps' ? new SteppedEngine(settings, profile) : new FixedEngine(settings, profile)
}
