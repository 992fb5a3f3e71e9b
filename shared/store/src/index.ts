export { type Database, openDatabase, type Queryable, type Row } from './database.ts'
export { type ApiKey, createApiKey, ensureTenant, hashApiKey, type KeyRole, newApiKey } from './keys.ts'
export { migrate } from './migrate.ts'
