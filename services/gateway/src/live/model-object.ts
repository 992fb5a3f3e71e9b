import { z } from 'zod'
import type { KnownModel } from './model-directory.ts'

/** OpenAI's Model object. */
export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.number().int(),
    owned_by: z.string().describe('The engine that serves it'),
  })
  .meta({ id: 'Model' })

/** A model as the API shows it. */
export function modelObject(model: KnownModel): z.infer<typeof modelSchema> {
  return { id: model.id, object: 'model', created: Math.floor(model.firstSeenMs / 1000), owned_by: model.engine }
}
