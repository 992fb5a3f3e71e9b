import { z } from 'zod'
import { ApiError } from './api-error.ts'

// What a client may send beyond these is ignored, as vLLM does.
const sampling = {
  model: z.string().optional(),
  n: z.int().min(1).max(128).nullish(),
  max_tokens: z.int().min(1).nullish(),
  min_tokens: z.int().min(0).nullish(),
  ignore_eos: z.boolean().nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  seed: z.int().nullish(),
  temperature: z.number().min(0).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), continuous_usage_stats: z.boolean().nullish() })
    .nullish(),
  priority: z.int().nullish(),
  cache_salt: z.string().nullish(),
  response_format: z
    .object({ type: z.string(), json_schema: z.object({ schema: z.unknown().optional() }).nullish() })
    .nullish(),
}

const content = z.union([z.string(), z.array(z.object({ type: z.string().optional(), text: z.string().optional() }))])

const message = z.object({ role: z.string(), content: content.nullish() })

const tokenArray = z.array(z.int().min(0))
const prompts = z.union([z.string(), tokenArray.min(1), z.array(z.string()).min(1), z.array(tokenArray.min(1)).min(1)])

export const chatBody = z.object({
  ...sampling,
  messages: z.array(message).min(1),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  tools: z.array(z.object({ function: z.object({ name: z.string(), parameters: z.unknown().optional() }) })).nullish(),
  tool_choice: z.union([z.string(), z.object({ function: z.object({ name: z.string() }) })]).nullish(),
})

export const completionBody = z.object({
  ...sampling,
  prompt: prompts,
  echo: z.boolean().nullish(),
  logprobs: z.int().min(0).nullish(),
})

export const embeddingBody = z.object({
  model: z.string().optional(),
  input: prompts,
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).max(8192).nullish(),
  priority: z.int().nullish(),
})

export const tokenizeBody = z.object({
  model: z.string().optional(),
  prompt: z.string().optional(),
  messages: z.array(message).optional(),
})

export type ChatBody = z.infer<typeof chatBody>

/** Checks a body; throws a 400 that names every fault, with the first one's place as `param`. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  const told = issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; ')
  throw new ApiError(400, told, issues[0]?.path.join('.') || null)
}

/** A message's text; parts that are not text stand as their type in brackets. */
export function textOf(value: ChatBody['messages'][number]['content']): string {
  if (typeof value === 'string') return value
  return (value ?? []).map((part) => part.text ?? `[${part.type ?? 'part'}]`).join('\n')
}

/** One prompt or many, as a list. */
export function promptList(value: z.infer<typeof prompts>): (string | number[])[] {
  if (typeof value === 'string') return [value]
  return typeof value[0] === 'number' ? [value as number[]] : (value as (string | number[])[])
}
