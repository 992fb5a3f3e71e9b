import { z } from 'zod'
import { usageSchema } from './jobs.ts'

/**
 * A reply: the frames a worker sends to the inbox of the gateway whose client waits. `seq` counts from 0 without
 * gaps, so a frame lost on the bus is noticed. `accepted` says which worker has it, where nothing else came in the first
 * quarter of a second; `alive` comes every second while nothing else does.
 */
export const replyFrameSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('accepted'),
    requestId: z.string(),
    attempt: z.number(),
    seq: z.number(),
    workerId: z.string(),
  }),
  z.object({ type: z.literal('alive'), requestId: z.string(), attempt: z.number(), seq: z.number() }),
  /** The engine's status and content type, before the first byte. */
  z.object({
    type: z.literal('head'),
    requestId: z.string(),
    attempt: z.number(),
    seq: z.number(),
    status: z.number(),
    contentType: z.string(),
    retryAfterMs: z.number().optional(),
  }),
  /** Bytes of the engine's answer, as UTF-8 text, cut at any character. */
  z.object({ type: z.literal('data'), requestId: z.string(), attempt: z.number(), seq: z.number(), text: z.string() }),
  z.object({
    type: z.literal('end'),
    requestId: z.string(),
    attempt: z.number(),
    seq: z.number(),
    usage: usageSchema.nullable(),
  }),
  /** The request failed before its first byte (the gateway answers with the status) or after it (an error chunk). */
  z.object({
    type: z.literal('error'),
    requestId: z.string(),
    attempt: z.number(),
    seq: z.number(),
    status: z.number(),
    code: z.string(),
    message: z.string(),
    retryAfterMs: z.number().optional(),
  }),
])
export type ReplyFrame = z.infer<typeof replyFrameSchema>

/** What every worker of a deployment hears. */
export const controlSchema = z.discriminatedUnion('type', [
  /**
   * Abort the engine request; unknown ids are ignored. `left`: nobody wants the answer any more, what was used is
   * charged. `superseded`: another attempt runs instead, or nobody waits for this one; its tokens are nobody's.
   */
  z.object({
    type: z.literal('cancel-request'),
    requestId: z.string(),
    attempt: z.number(),
    reason: z.enum(['left', 'superseded']).default('left'),
  }),
  /** Start nothing more of this batch; what runs may finish. */
  z.object({ type: z.literal('cancel-batch'), batchId: z.string() }),
])
export type Control = z.infer<typeof controlSchema>

/** A worker's own account of itself, every two seconds. */
export const announcementSchema = z.object({
  workerId: z.string(),
  pool: z.string(),
  engine: z.string(),
  engineUrl: z.string(),
  models: z.array(
    z.object({
      id: z.string(),
      contextTokens: z.number().nullable(),
      /** Which version of the model the engine says it runs. */
      version: z.string().nullable().optional(),
      /** True: its engine sleeps, or its adapter is not loaded; work for it waits until it is. */
      asleep: z.boolean().optional(),
    }),
  ),
  healthy: z.boolean(),
  draining: z.boolean(),
  inFlight: z.object({ realtime: z.number(), standard: z.number(), batch: z.number() }),
  inFlightMax: z.number(),
  /** Tokens that may be in its engine's KV cache at once; null or none: the engine did not say. */
  tokensMax: z.number().nullable().optional(),
  tokensPerSecond: z.number(),
  atMs: z.number(),
})
export type Announcement = z.infer<typeof announcementSchema>
