import { z } from 'zod'
import type { Route } from '../../gateway-deps.ts'
import { addLiveRoute } from '../../live/serve-live.ts'

const body = z.looseObject({ model: z.string(), input: z.union([z.string(), z.array(z.unknown())]) })

/** POST /v1/embeddings. */
export const createEmbedding: Route = (app, deps) =>
  addLiveRoute(app, deps, { endpoint: '/v1/embeddings', schema: { summary: 'Embed texts', body } })
