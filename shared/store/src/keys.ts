import { hash, randomBytes } from 'node:crypto'
import { newId } from '@forebay/kernel'
import type { Queryable, Row } from './database.ts'

export type KeyRole = 'user' | 'admin'

/** An API key as it is kept: never the key itself. */
export interface ApiKey extends Row {
  id: string
  tenant_id: string
  project_id: string
  name: string
  hint: string
  role: KeyRole
  created_at: Date
  expires_at: Date | null
  revoked_at: Date | null
  last_used_at: Date | null
}

/** A new key: `fb-` and 256 random bits, so that a plain SHA-256 is enough to store it by. */
export function newApiKey(): string {
  return `fb-${randomBytes(32).toString('base64url')}`
}

/** The stored form of a key. */
export function hashApiKey(key: string): Buffer {
  return hash('sha256', key, 'buffer')
}

/** Creates the tenant when it is missing. */
export async function ensureTenant(db: Queryable, tenant: { id: string; name?: string }): Promise<void> {
  await db.query('INSERT INTO tenants (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING', [
    tenant.id,
    tenant.name ?? tenant.id,
  ])
}

/** Stores a key (given or new) for a project of a tenant. The plain key is returned once and kept nowhere. */
export async function createApiKey(
  db: Queryable,
  options: {
    tenantId: string
    /** `default` when not given. */
    projectId?: string
    name: string
    role: KeyRole
    nowMs: number
    key?: string
    expiresAt?: Date
  },
): Promise<{ key: string; record: ApiKey }> {
  const key = options.key ?? newApiKey()
  const rows = await db.query<ApiKey>(
    `INSERT INTO api_keys (id, tenant_id, name, hash, hint, role, expires_at, project_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL
     RETURNING id, tenant_id, project_id, name, hint, role, created_at, expires_at, revoked_at, last_used_at`,
    [
      newId('key_', options.nowMs),
      options.tenantId,
      options.name,
      hashApiKey(key),
      key.slice(-4),
      options.role,
      options.expiresAt ?? null,
      options.projectId ?? 'default',
    ],
  )
  const record = rows[0]
  if (!record) throw new Error('the key was not stored')
  return { key, record }
}
