import { z } from 'zod'
import { answerCheckSchema, checkFailedCode } from './checks.ts'
import { inferenceEndpointSchema } from './endpoints.ts'
import { laneSchema } from './lanes.ts'

/**
 * The bodies of jobs. Fields are only ever added, and optional, so that jobs in flight survive an upgrade.
 */

/** A chunk of a batch, by reference: the worker reads the lines from `inputKey` at the places the entries name. */
export const chunkJobSchema = z.object({
  v: z.literal(1),
  kind: z.literal('chunk'),
  batchId: z.string(),
  tenantId: z.string(),
  apiKeyId: z.string(),
  /** Index of the chunk in its batch, from 0. */
  chunk: z.number().int().nonnegative(),
  /** The scheduler's release count, from 1. The broker's own delivery attempts are counted apart. */
  attempt: z.number().int().positive(),
  endpoint: inferenceEndpointSchema,
  model: z.string(),
  /** What the lines name instead of `model`, which the engine is told. */
  alias: z.string().optional(),
  pool: z.string(),
  lane: laneSchema,
  /** Blob key of what holds the lines, in the store of the pool: the input file, or a copy of this chunk's lines. */
  inputKey: z.string(),
  /** The plan entries of the requests still to run, as base64 of the plan's own encoding (@forebay/plan). */
  entries: z.string(),
  /** What every answer must fit. */
  check: answerCheckSchema.optional(),
  /** The key, in hex, of the hashes that stand for the tenant's end users. */
  endUserKey: z.string().optional(),
  /** Past this time (epoch ms) the requests are not run. */
  deadlineMs: z.number(),
})
export type ChunkJob = z.infer<typeof chunkJobSchema>

/** Room of a budget that is set aside for a request until it is charged, in nano-units. */
const budgetHoldSchema = z.object({ id: z.string(), budgetId: z.string(), nano: z.number().int().nonnegative() })
export type BudgetHold = z.infer<typeof budgetHoldSchema>

/** One real-time request, inline. */
export const requestJobSchema = z.object({
  v: z.literal(1),
  kind: z.literal('request'),
  requestId: z.string(),
  tenantId: z.string(),
  apiKeyId: z.string(),
  /** The gateway's own attempts, from 1; a reply of an older attempt is ignored. */
  attempt: z.number().int().positive(),
  endpoint: inferenceEndpointSchema,
  model: z.string(),
  pool: z.string(),
  lane: laneSchema,
  /** The JSON text sent to the engine, as it is. */
  body: z.string(),
  /** Whether the engine answers with an event stream. */
  stream: z.boolean(),
  /** The reply-bus inbox of the gateway that waits. */
  replyTo: z.string(),
  estTokens: z.number().int().nonnegative(),
  /** Why it goes to its pool and model, one sentence; its result carries the same. */
  route: z.string().optional(),
  /** What budgets hold for it; its result carries the same. */
  holds: z.array(budgetHoldSchema).optional(),
  /** Its body and its answer are to be kept in the pool's blob store. */
  keepContent: z.boolean().optional(),
  /** The hash that stands for whom it is sent for; its result carries the same. */
  endUser: z.string().optional(),
  acceptedAtMs: z.number(),
  deadlineMs: z.number(),
})
export type RequestJob = z.infer<typeof requestJobSchema>

export const workJobSchema = z.discriminatedUnion('kind', [chunkJobSchema, requestJobSchema])
export type WorkJob = z.infer<typeof workJobSchema>

/** Tokens as the engine counted them; `cachedTokens` null means it did not say. */
export const usageSchema = z.object({
  promptTokens: z.number().int().nonnegative(),
  cachedTokens: z.number().int().nonnegative().nullable(),
  completionTokens: z.number().int().nonnegative(),
  reasoningTokens: z.number().int().nonnegative(),
})
export type Usage = z.infer<typeof usageSchema>

/** Bytes of an object in the pool's blob store. */
const bytesAtSchema = z.object({
  key: z.string(),
  offset: z.number().int().nonnegative(),
  length: z.number().int().positive(),
})

/**
 * Where an answer came from. `engine`: it was computed. `identical`: another line of the same batch has the same body,
 * and was computed. `exact_cache`, `semantic_cache`: an earlier request's answer was served.
 */
export const answerSourceSchema = z.enum(['engine', 'identical', 'exact_cache', 'semantic_cache'])
export type AnswerSource = z.infer<typeof answerSourceSchema>

/** What was measured of an answer without a model; null: it could not be. */
const answerQualitySchema = z.object({
  /** Share of its runs of four words that stood in it before. */
  repetition: z.number().min(0).max(1).nullable(),
  perplexity: z.number().min(1).nullable(),
})
export type AnswerQuality = z.infer<typeof answerQualitySchema>

/** How one request ended. */
export const requestResultSchema = z.object({
  requestId: z.string(),
  tenantId: z.string(),
  apiKeyId: z.string().nullable(),
  batchId: z.string().nullable(),
  /** 1-based line of the input file. */
  line: z.number().int().positive().nullable(),
  chunk: z.number().int().nonnegative().nullable(),
  customId: z.string().nullable(),
  endpoint: inferenceEndpointSchema,
  model: z.string(),
  pool: z.string(),
  lane: laneSchema,
  attempt: z.number().int().positive(),
  /** `succeeded`: goes to the output file and is charged. `failed`: to the error file, see `isCharged`. `cancelled`: the client left; charged for what was used. */
  outcome: z.enum(['succeeded', 'failed', 'cancelled']),
  statusCode: z.number().int(),
  errorCode: z.string().nullable(),
  usage: usageSchema,
  /** What earlier answers took that did not fit the check: waste, not part of `usage`. */
  discarded: z
    .object({
      answers: z.number().int().positive(),
      promptTokens: z.number().int().nonnegative(),
      completionTokens: z.number().int().nonnegative(),
    })
    .optional(),
  queuedMs: z.number().int().nonnegative(),
  firstTokenMs: z.number().int().nonnegative().nullable(),
  durationMs: z.number().int().nonnegative(),
  /** How long it waited in the worker for the batcher to let it in. */
  batcherMs: z.number().int().nonnegative().default(0),
  finishedAtMs: z.number(),
  quality: answerQualitySchema.optional(),
  source: answerSourceSchema.default('engine'),
  /** Its share of the engine's time, in milliseconds; null: not measured. */
  gpuMs: z.number().nonnegative().nullable().default(null),
  /** Which version of the model answered, as the engine or the registry names it; null: unknown. */
  modelVersion: z.string().nullable().default(null),
  /** SHA-256 of the body as it came, in hex. */
  bodyHash: z.string().nullable().default(null),
  /** The hash, in hex, that stands for whom it was sent for; none when it named nobody. */
  endUser: z.string().optional(),
  /** Why a live request went to its pool and model; none when there was nothing to choose. */
  route: z.string().optional(),
  /** What budgets hold for it. */
  holds: z.array(budgetHoldSchema).optional(),
  /** Where the request's own bytes lie, if they are kept. */
  requestBytes: bytesAtSchema.nullable().default(null),
  /** Where a real-time request's answer lies, if it is kept. */
  responseBytes: bytesAtSchema.optional(),
  /** Where the output line lies in the event's part; null for real-time requests. */
  bytes: z.object({ offset: z.number().int().nonnegative(), length: z.number().int().positive() }).nullable(),
})
export type RequestResult = z.infer<typeof requestResultSchema>

/**
 * Whether a request is charged for what it used. A failed one is not, unless there is an answer, kept in the error file,
 * that only did not fit the check that its batch asked for.
 */
export function isCharged({ errorCode, outcome }: Pick<RequestResult, 'errorCode' | 'outcome'>): boolean {
  return outcome !== 'failed' || errorCode === checkFailedCode
}

/** What a worker says of a chunk it holds: still at it, or handed back unfinished (the scheduler releases the rest anew). */
export const chunkNoteSchema = z.object({
  batchId: z.string(),
  chunk: z.number().int().nonnegative(),
  attempt: z.number().int().positive(),
  state: z.enum(['held', 'returned']),
})
export type ChunkNote = z.infer<typeof chunkNoteSchema>

/** The message a worker sends to its pool's results queue. All results of one event share one part. */
export const resultEventSchema = z.object({
  v: z.literal(1),
  kind: z.literal('results'),
  id: z.string(),
  workerId: z.string(),
  pool: z.string(),
  sentAtMs: z.number(),
  partKey: z.string().nullable(),
  results: z.array(requestResultSchema),
  chunks: z.array(chunkNoteSchema),
  /** Time of the engine that no request used, since the worker's last event that told of it. */
  idle: z
    .object({
      fromMs: z.number(),
      toMs: z.number(),
      gpuMs: z.number().nonnegative(),
      /** Time of the engine for requests that ended there without a result. */
      unfinishedGpuMs: z.number().nonnegative().default(0),
    })
    .nullable()
    .default(null),
})
export type ResultEvent = z.infer<typeof resultEventSchema>

/** The audit id of a batch's line: the same on every attempt, so that it can be inserted only once. */
export function batchRequestId(batchId: string, line: number): string {
  return `batch_req_${batchId.replace(/^batch_/, '')}_${line}`
}
