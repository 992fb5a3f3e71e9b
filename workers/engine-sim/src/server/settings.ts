import type { SchedulingPolicy } from '@forebay/engine-model'
import { type EngineLimits, type Profile, type ProfileName, profiles, resolveLimits } from '@forebay/engine-model'
import { type Clock, ForebayError, type Logger, silentLogger, systemClock } from '@forebay/kernel'
import type { FailureRates } from './failures.ts'
import { type ResidencySettings, residencyUsual } from './residency.ts'

export interface EngineSimOptions extends Partial<EngineLimits> {
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 0: any free port. */
  readonly port?: number | undefined
  /** Names served; default `forebay-sim`. */
  readonly models?: readonly string[] | undefined
  /** Default `laptop`. */
  readonly profile?: ProfileName | Profile | undefined
  /** Simulated seconds per real second; default 1. */
  readonly speed?: number | undefined
  /** Answer latency of the `fixed` profile, in milliseconds; given alone it picks that profile. */
  readonly fixedMs?: number | undefined
  readonly schedulingPolicy?: SchedulingPolicy | undefined
  /** Requests waiting and running past which new ones get 503; default: no limit, as vLLM's. */
  readonly maxNumQueuedReqs?: number | undefined
  /** Guards /v1 when set. */
  readonly apiKey?: string | undefined
  /** Seeds texts, ids and failures; default 0. */
  readonly seed?: number | undefined
  /** Report `prompt_tokens_details.cached_tokens`; default true (vLLM: off unless asked). */
  readonly promptTokensDetails?: boolean | undefined
  /** Length of embeddings that name no `dimensions`; default 64. */
  readonly embeddingDimensions?: number | undefined
  readonly failures?: FailureRates | undefined
  /** Memory, and the time of sleeping, waking and loading. */
  readonly residency?: { readonly [K in keyof ResidencySettings]?: ResidencySettings[K] | undefined } | undefined
  /** Keep a line per X-Request-Id in `GET /sim/log`; default false. */
  readonly record?: boolean | undefined
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
  /** What a `crash` does after the sockets are cut; default nothing, the CLI exits 1. */
  readonly onCrash?: (() => void) | undefined
}

/** Options with every default applied. */
export interface Settings {
  readonly models: readonly string[]
  readonly profile: Profile
  readonly limits: EngineLimits
  readonly speed: number
  readonly schedulingPolicy: SchedulingPolicy
  readonly maxNumQueuedReqs: number
  readonly apiKey: string | undefined
  readonly seed: number
  readonly promptTokensDetails: boolean
  readonly embeddingDimensions: number
  readonly record: boolean
  readonly residency: ResidencySettings
  readonly clock: Clock
  readonly logger: Logger
}

/** Applies defaults; throws `config_invalid` for a setting that cannot work. */
export function resolveSettings(options: EngineSimOptions): Settings {
  const profile = resolveProfile(options)
  const speed = options.speed ?? 1
  if (!(speed > 0)) throw new ForebayError('config_invalid', `speed must be above 0, not ${speed}.`)
  return {
    models: options.models?.length ? options.models : ['forebay-sim'],
    profile,
    limits: resolveLimits(profile.limits, options),
    speed,
    schedulingPolicy: options.schedulingPolicy ?? 'fcfs',
    maxNumQueuedReqs: options.maxNumQueuedReqs ?? Number.POSITIVE_INFINITY,
    apiKey: options.apiKey,
    seed: options.seed ?? 0,
    promptTokensDetails: options.promptTokensDetails ?? true,
    embeddingDimensions: options.embeddingDimensions ?? 64,
    record: options.record ?? false,
    residency: residencyOf(options.residency),
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
  }
}

function resolveProfile({ profile, fixedMs }: EngineSimOptions): Profile {
  const name = profile ?? (fixedMs === undefined ? 'laptop' : 'fixed')
  const found: Profile | undefined = typeof name === 'string' ? profiles[name] : name
  if (!found) {
    throw new ForebayError(
      'config_invalid',
      `There is no profile ${String(name)}. Choose one of ${Object.keys(profiles).join(', ')}.`,
    )
  }
  if (fixedMs === undefined) return found
  if (found.kind !== 'fixed') {
    throw new ForebayError('config_invalid', `fixedMs works with the profile fixed, not with ${found.name}.`)
  }
  return { ...found, answerMs: fixedMs }
}

function residencyOf(given: EngineSimOptions['residency'] = {}): ResidencySettings {
  const said = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...residencyUsual, ...Object.fromEntries(said) }
}
