import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { addLiveRoute } from '../../live/serve-live.ts'

const body = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string() })),
  stream: z.boolean().nullish(),
  service_tier: z.string().nullish().describe("'flex' and 'batch' wait behind other live requests"),
})

/** POST /v1/chat/completions. */
export const createChatCompletion: Route = (app, deps) =>
  addLiveRoute(app, deps, { endpoint: '/v1/chat/completions', schema: { summary: 'Complete a chat', body } })
