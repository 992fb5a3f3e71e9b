import type { Database, Row } from '@forebay/store'
import type { SigningKey, Statement } from './signing.ts'

/** Signs how far every chain has come that has new blocks since its last checkpoint. Answers what was signed. */
export function signCheckpoints(db: Database, key: SigningKey, nowMs: number): Promise<Statement[]> {
  return db.tx(async (tx) => {
    const heads = await tx.query<Row & { tenantId: string; seq: number; hash: Buffer }>(
      `SELECT DISTINCT ON (b.tenant_id) b.tenant_id AS "tenantId", b.seq, b.hash FROM audit_blocks b
       WHERE b.seq > coalesce((SELECT max(seq) FROM audit_checkpoints c WHERE c.tenant_id = b.tenant_id), 0)
       ORDER BY b.tenant_id, b.seq DESC`,
    )
    if (heads.length === 0) return []
    const statements = heads.map(({ tenantId, seq, hash }) => ({ tenantId, seq, hash, signedAtMs: nowMs }))
    await tx.query('INSERT INTO audit_keys (id, public_key) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      key.id,
      key.publicKey,
    ])
    await tx.query(
      `INSERT INTO audit_checkpoints (key_id, signed_at, tenant_id, seq, hash, signature)
       SELECT $1, to_timestamp($2::float8 / 1000), * FROM unnest($3::text[], $4::bigint[], $5::bytea[], $6::bytea[])
       ON CONFLICT DO NOTHING`,
      [
        key.id,
        nowMs,
        statements.map((s) => s.tenantId),
        statements.map((s) => s.seq),
        statements.map((s) => s.hash),
        statements.map((s) => key.sign(s)),
      ],
    )
    return statements
  })
}
