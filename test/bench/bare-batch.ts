import { newId, systemClock } from '@forebay/kernel'
import type { Database } from '@forebay/store'

/** Adds a batch that audit rows of a yardstick can belong to, of the tenant `bench`, and answers its id. */
export async function addBareBatch(db: Database, total: number): Promise<string> {
  const id = newId('batch_', systemClock.now())
  await db.query(`INSERT INTO tenants (id, name) VALUES ('bench', 'Bench') ON CONFLICT DO NOTHING`)
  await db.query(
    `INSERT INTO files (id, tenant_id, filename, purpose, bytes, sha256, blob_key)
     VALUES ('file-1', 'bench', 'in.jsonl', 'batch', 1, '', 'k') ON CONFLICT DO NOTHING`,
  )
  await db.query(
    `INSERT INTO batches (id, tenant_id, api_key_id, endpoint, input_file_id, completion_window, status, total, expires_at)
     VALUES ($1, 'bench', 'key_1', '/v1/chat/completions', 'file-1', '24h', 'in_progress', $2, now() + interval '1 day')`,
    [id, total],
  )
  return id
}
