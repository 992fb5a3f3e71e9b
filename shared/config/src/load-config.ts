import { ForebayError } from '@forebay/kernel'
import { type Config, type SettingName, settings } from './settings.ts'

export type Source = 'environment' | 'default' | 'not set'

export interface LoadedConfig {
  config: Config
  sources: Record<SettingName, Source>
}

const names = Object.keys(settings) as SettingName[]

/**
 * Reads all settings from an environment. An empty variable counts as not set. Throws one `config_invalid` error that
 * names every fault: wrong values, and FOREBAY_ variables that are no setting.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): LoadedConfig {
  const faults: string[] = []
  const config: Partial<Record<SettingName, unknown>> = {}
  const sources: Partial<Record<SettingName, Source>> = {}
  for (const name of names) {
    const { env: variable, schema } = settings[name]
    const given = env[variable] === '' ? undefined : env[variable]
    const result = schema.safeParse(given)
    if (result.success) config[name] = result.data
    else faults.push(`${variable} ${result.error.issues.map((issue) => issue.message).join(', ')}`)
    sources[name] = given !== undefined ? 'environment' : result.data === undefined ? 'not set' : 'default'
  }
  const known = new Set<string>(names.map((name) => settings[name].env))
  for (const variable of Object.keys(env)) {
    if (variable.startsWith('FOREBAY_') && !known.has(variable))
      faults.push(`${variable} is not a setting; 'forebay config' lists them`)
  }
  if (faults.length > 0) {
    throw new ForebayError(
      'config_invalid',
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`,
    )
  }
  return { config: config as Config, sources: sources as Record<SettingName, Source> }
}

export interface ConfigRow {
  setting: string
  value: string | number | string[] | null
  source: Source
  about: string
}

/** One row per setting for showing; keys and the passwords within URLs are masked. */
export function describeConfig(loaded: LoadedConfig): ConfigRow[] {
  return names.map((name) => {
    const given = loaded.config[name]
    const value = isRange(given) ? `${given.min}..${given.max}` : given
    const { env, about } = settings[name]
    const shown =
      value === undefined
        ? null
        : 'secret' in settings[name]
          ? `…${String(value).slice(-4)}`
          : typeof value === 'string'
            ? maskPassword(value)
            : (value as number | string[])
    return { setting: env, value: shown, source: loaded.sources[name], about }
  })
}

function isRange(value: unknown): value is { min: number; max: number } {
  return typeof value === 'object' && value !== null && 'min' in value && 'max' in value
}

function maskPassword(value: string): string {
  return value.replace(/(:\/\/[^:/@]*:)[^@/]*@/, '$1…@')
}

/** The value of an optional setting that this process cannot do without. Throws `config_invalid` naming it. */
export function required(config: Config, name: SettingName, forWhat: string): string {
  const value = config[name]
  if (typeof value === 'string') return value
  throw new ForebayError(
    'config_invalid',
    `${settings[name].env} is not set, and ${forWhat} needs it: ${settings[name].about}.`,
  )
}
