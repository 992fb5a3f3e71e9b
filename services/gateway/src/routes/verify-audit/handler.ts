import { verifyChain } from '@forebay/audit'
import { z } from 'zod'
import { checkTenant } from '../../admin/check-tenant.ts'
import type { Route } from '../../gateway-deps.ts'

const finding = z.object({
  kind: z.enum(['changed', 'removed', 'inserted', 'block', 'truncated', 'checkpoint']),
  block: z.number().int(),
  id: z.string().nullable().describe('The request or event, where one can be named'),
  text: z.string(),
})

/** GET /admin/audit/verify: computes a part of a tenant's hash chain anew from the rows. */
export const verifyAudit: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/audit/verify',
    schema: {
      tags: ['Audit'],
      summary: "Verify a part of a tenant's audit log against its hash chain and its signed checkpoints",
      querystring: z.object({
        tenant: z.string(),
        after: z.coerce.number().int().min(0).default(0).describe('The block to go on after'),
        limit: z.coerce.number().int().min(1).max(200).default(50).describe('Blocks to verify'),
      }),
      response: {
        200: z.object({
          object: z.literal('audit.verification'),
          tenant: z.string(),
          blocks: z.number().int(),
          entries: z.number().int(),
          erased: z.number().int().describe('Rows whose custom id and body hash were erased'),
          retired: z.number().int().describe('Blocks whose rows have left the log by retention'),
          checkpoints: z.number().int(),
          key_ids: z.array(z.string()).describe('Of the keys that signed the checkpoints'),
          findings: z.array(finding).describe('Empty: nothing was changed'),
          last_block: z.number().int(),
          has_more: z.boolean(),
          unsealed: z.number().int().describe('Entries in no block yet; told at the end of the chain'),
        }),
      },
    },
    handler: async (request) => {
      const { after, limit, tenant } = request.query
      await checkTenant(db, tenant)
      const found = await verifyChain(db, { tenantId: tenant, afterSeq: after, blocksMax: limit })
      const { blocks, checkpoints, done, entries, erased, findings, keyIds, lastSeq, retired, unsealed } = found
      return {
        object: 'audit.verification' as const,
        ...{ tenant, blocks, entries, erased, retired, checkpoints, unsealed },
        key_ids: keyIds,
        findings: findings.map(({ kind, seq, id, text }) => ({ kind, block: seq, id, text })),
        last_block: lastSeq,
        has_more: !done,
      }
    },
  })
}
