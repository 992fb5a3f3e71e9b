import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { addLiveRoute } from '../../live/serve-live.ts'

const body = z.looseObject({
  model: z.string(),
  prompt: z.union([z.string(), z.array(z.unknown())]),
  stream: z.boolean().nullish(),
})

/** POST /v1/completions. */
export const createCompletion: Route = (app, deps) =>
  addLiveRoute(app, deps, { endpoint: '/v1/completions', schema: { summary: 'Complete a text', body } })
