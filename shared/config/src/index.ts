export { configOrExit } from './config-or-exit.ts'
export { type ConfigRow, describeConfig, type LoadedConfig, loadConfig, required, type Source } from './load-config.ts'
export { type Config, type SettingName, settings } from './settings.ts'
