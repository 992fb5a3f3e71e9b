import type { Row } from '@forebay/store'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'

const checkpoint = z.object({
  object: z.literal('audit.checkpoint'),
  tenant: z.string(),
  block: z.number().int().describe('The last block it speaks for'),
  hash: z.string(),
  signed_at_ms: z.number().int(),
  key_id: z.string(),
  public_key: z.string().describe('Ed25519, SPKI as PEM'),
  signature: z.string().describe('Base64, over ["forebay audit checkpoint 1",tenant,block,hash,signed_at_ms] as JSON'),
})

/** GET /admin/audit/checkpoints: what was signed, newest first; to be kept where the database's owner cannot reach. */
export const listCheckpoints: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/audit/checkpoints',
    schema: {
      tags: ['Audit'],
      summary: "List the signed checkpoints of a tenant's audit log, newest first",
      querystring: z.object({ tenant: z.string(), limit: z.coerce.number().int().min(1).max(1_000).default(20) }),
      response: { 200: z.object({ object: z.literal('list'), data: z.array(checkpoint) }) },
    },
    handler: async (request) => {
      const { limit, tenant } = request.query
      await checkTenant(db, tenant)
      const rows = await db.query<
        Row & { seq: number; hash: Buffer; at: number; key: string; pem: string; sig: Buffer }
      >(
        `SELECT c.seq, c.hash, round(extract(epoch FROM c.signed_at) * 1000)::float8 AS at, c.key_id AS key,
           k.public_key AS pem, c.signature AS sig
         FROM audit_checkpoints c JOIN audit_keys k ON k.id = c.key_id WHERE c.tenant_id = $1
         ORDER BY c.seq DESC LIMIT $2`,
        [tenant, limit],
      )
      const data = rows.map((row) => ({
        object: 'audit.checkpoint' as const,
        tenant,
        block: row.seq,
        hash: row.hash.toString('hex'),
        signed_at_ms: row.at,
        key_id: row.key,
        public_key: row.pem,
        signature: row.sig.toString('base64'),
      }))
      return { object: 'list' as const, data }
    },
  })
}
