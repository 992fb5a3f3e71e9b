import { readAgreements } from '@forebay/rollouts'
import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'

const count = z.number().int()
const routingSchema = z
  .object({
    object: z.literal('routing'),
    weights: z
      .object({ latency: z.number(), cost: z.number(), load: z.number(), proximity: z.number() })
      .describe('How much each part of a pool’s score counts'),
    home: z.object({ cloud: z.string().nullable(), region: z.string().nullable() }),
    rules: z
      .array(
        z.object({
          alias: z.string(),
          to: z.record(z.string(), z.number()).describe('Each model that may answer, with its share'),
          when: z.object({
            tenants: z.array(z.string()).nullable(),
            endpoints: z.array(z.string()).nullable(),
            min_tokens: z.number().nullable(),
            max_tokens: z.number().nullable(),
          }),
          complexity: z
            .object({
              small: z.string(),
              large: z.string(),
              threshold: z.number(),
              sample_share: z.number(),
              agreement_min: z.number(),
              samples_min: count,
              checks: count.describe('The latest comparisons of both models, at most 200 or samples_min'),
              agreed: count.describe('How many of them agree'),
              agreement: z.number().nullable().describe('Their share; null before the first'),
              fallback: z.boolean().describe('The large model answers everything for now'),
              reason: z.string().nullable().describe('Why it fell back'),
            })
            .nullable()
            .describe('Null: the shares of `to` decide'),
        }),
      )
      .describe('In the order in which they are tried; the first that holds decides'),
  })
  .meta({ id: 'Routing' })

/** GET /admin/routing. */
export const showRouting: Route = (app, { db, pools }) => {
  app.route({
    method: 'GET',
    url: '/admin/routing',
    schema: {
      tags: ['Admin'],
      summary: 'Show how pools and models are chosen, and how the models of complexity rules compare',
      response: { 200: routingSchema },
    },
    handler: async () => {
      const agreements = await readAgreements(db, pools.routes)
      const { home, weights } = pools.routing
      const rules = pools.routes.map((rule) => {
        const { alias, complexity, to, when } = rule
        const { agreed = 0, checks = 0, distrust } = agreements.get(rule) ?? {}
        return {
          alias,
          to: { ...to },
          when: {
            tenants: when.tenants ? [...when.tenants] : null,
            endpoints: when.endpoints ? [...when.endpoints] : null,
            min_tokens: when.minTokens ?? null,
            max_tokens: when.maxTokens ?? null,
          },
          complexity: complexity
            ? {
                ...{ small: complexity.small, large: complexity.large, threshold: complexity.threshold },
                ...{ sample_share: complexity.sampleShare, agreement_min: complexity.agreementMin },
                ...{
                  samples_min: complexity.samplesMin,
                  checks,
                  agreed,
                  agreement: checks > 0 ? agreed / checks : null,
                },
                ...{ fallback: distrust !== undefined, reason: distrust ?? null },
              }
            : null,
        }
      })
      const { cloud = null, region = null } = home
      return { object: 'routing' as const, weights: { ...weights }, home: { cloud, region }, rules }
    },
  })
}
