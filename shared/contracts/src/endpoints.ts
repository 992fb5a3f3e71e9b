import { z } from 'zod'

/** The inference endpoints, live and as a batch's `endpoint`. */
export const inferenceEndpoints = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'] as const
export const inferenceEndpointSchema = z.enum(inferenceEndpoints)
export type InferenceEndpoint = z.infer<typeof inferenceEndpointSchema>

/** The parameter that holds what an endpoint's model reads, and the error shown when it is missing. */
export const promptParameter: Record<InferenceEndpoint, { name: string; label: string }> = {
  '/v1/chat/completions': { name: 'messages', label: 'Messages' },
  '/v1/completions': { name: 'prompt', label: 'Prompt' },
  '/v1/embeddings': { name: 'input', label: 'Input' },
}
