export { keptMs, type Retention, type RetentionDefaults, readRetention } from './retention.ts'
