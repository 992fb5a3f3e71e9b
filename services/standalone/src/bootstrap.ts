import { join } from 'node:path'
import type { Clock } from '@forebay/kernel'
import { createApiKey, type Database, ensureTenant, newApiKey } from '@forebay/store'
import { keptSecret } from './kept-secret.ts'

/**
 * The tenant `default` and its admin key: `given` (FOREBAY_API_KEY), else the one kept in the data folder, else a new
 * one, kept there readable by this user alone, so that a restart prints the same.
 */
export async function bootstrapKey(options: {
  db: Database
  clock: Clock
  dataDir: string
  given: string | undefined
}): Promise<string> {
  const { db, clock } = options
  const key = options.given ?? (await keptSecret(join(options.dataDir, 'api-key'), newApiKey))
  await ensureTenant(db, { id: 'default', name: 'Default' })
  await createApiKey(db, { tenantId: 'default', name: 'bootstrap', role: 'admin', nowMs: clock.now(), key })
  return key
}
