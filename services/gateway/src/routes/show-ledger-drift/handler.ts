import { ledgerDrift } from '@forebay/ledger'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'

const drift = {
  entries: z.number().int().describe('Charged requests, and entries for requests'),
  ledger_nano: z.number().int(),
  recomputed_nano: z.number().int(),
  drift_nano: z.number().int().describe('Sum of the absolute differences of each entry; 0 when all is right'),
  unmatched: z.number().int().describe('Charged requests without an entry, and entries without such a request'),
}

/** GET /admin/ledger/drift: every charge computed anew from the audit rows and the price book, against the ledger. */
export const showLedgerDrift: Route = (app, { db }) => {
  app.route({
    method: 'GET',
    url: '/admin/ledger/drift',
    schema: {
      tags: ['Admin'],
      summary: 'Recompute the ledger from raw usage and tell the drift',
      response: {
        200: z.object({
          object: z.literal('ledger.drift'),
          ...drift,
          tenants: z.array(z.object({ tenant: z.string(), ...drift })),
        }),
      },
    },
    handler: async () => {
      const found = await ledgerDrift(db)
      const tenants = found.tenants.map(({ tenantId, ...rest }) => ({ tenant: tenantId, ...shown(rest) }))
      return { object: 'ledger.drift' as const, ...shown(found), tenants }
    },
  })
}

function shown(found: Omit<Awaited<ReturnType<typeof ledgerDrift>>, 'tenants'>) {
  const { driftNano, entries, ledgerNano, recomputedNano, unmatched } = found
  return { entries, ledger_nano: ledgerNano, recomputed_nano: recomputedNano, drift_nano: driftNano, unmatched }
}
