import { setImmediate as breathe } from 'node:timers/promises'
import type { BatchError, InferenceEndpoint } from '@forebay/contracts'
import { planLimits } from '@forebay/plan'
import { estimateOutputTokens, estimatePromptTokens } from '@forebay/tokens'
import { checkLine } from './check-line.ts'
import { CustomIdSet } from './custom-id-set.ts'
import { FaultList, quotable } from './faults.ts'
import { isBlank, type Line, LineSplitter } from './line-splitter.ts'
import { ModelEntries, type ModelPlan } from './model-entries.ts'
import { hashPrefixes, mediaBytes, prefixCuts } from './prompt-text.ts'
import { sameAnswerDigest } from './same-body.ts'

/** What planning came to: a plan to run, or what is wrong with the file. */
export type PlanOutcome =
  | ({
      valid: true
      /** As its lines name it: a model, or an alias of those in `parts`. */
      model: string
      total: number
      estTokens: number
    } & ModelPlan)
  | { valid: false; errors: BatchError[] }

/** Which model answers a line; `refusal`: why none does, for whoever wrote it. */
export type ResolvedLine = { model: string } | { refusal: string }

/** What a batch file is held to. */
export interface PlanRules {
  endpoint: InferenceEndpoint
  knowsModel: (model: string) => boolean
  /** The model that answers a request for a name, or why none does; a name stands for itself when not given. */
  resolve?: (asked: {
    model: string
    line: number
    estTokens: number
    promptTokens: number
    body: object
  }) => ResolvedLine
  maxLineBytes: number
  maxBatchRequests: number
  chunkRequests: number
  chunkTokens: number
  /** Whether requests that are bound to get the same answer are put next to each other, to be run once. */
  runIdenticalOnce: boolean
  /** Tokens that the KV cache of an engine that serves the model holds, for what the plan expects of it. */
  cacheTokens: (model: string) => number
  /** Most faults listed. */
  faultsMax?: number
}

/**
 * Validates and plans a batch in one pass over its file, in memory bounded by the number of its requests, letting other
 * work run between pieces. Every fault of every line is found, up to the first request over `maxBatchRequests`.
 * Throws what `input` throws, and the signal's reason when it aborts.
 */
export async function planBatch(options: {
  input: AsyncIterable<Buffer>
  rules: PlanRules
  signal?: AbortSignal
}): Promise<PlanOutcome> {
  const { rules, signal } = options
  const faults = new FaultList({ max: rules.faultsMax ?? 10_000 })
  const reader = new BatchReader(rules, faults)
  const splitter = new LineSplitter({ lineBytesMax: rules.maxLineBytes })
  for await (const piece of options.input) {
    // Small slices keep the pauses between two breaths to some milliseconds.
    for (let at = 0; at < piece.length && !reader.full; at += sliceBytes) {
      splitter.push(piece.subarray(at, at + sliceBytes), reader.onLine)
      await breathe()
      signal?.throwIfAborted()
    }
    if (reader.full) break
  }
  if (!reader.full) splitter.end(reader.onLine)
  if (reader.requests === 0) faults.add(null, 'empty_file', null, 'The batch input file is empty.')
  if (faults.count > 0 || reader.model === undefined) return { valid: false, errors: faults.list() }
  reader.forgetIds()
  const { entries, model } = reader
  const { count: total, estTokens } = entries
  const planned = await entries.toPlan(rules)
  signal?.throwIfAborted()
  return { valid: true, model, total, estTokens, ...planned }
}

const sliceBytes = 256 * 1024

class BatchReader {
  readonly entries = new ModelEntries()
  requests = 0
  model: string | undefined
  full = false
  readonly #rules: PlanRules
  readonly #faults: FaultList
  #customIds = new CustomIdSet()
  readonly #prefixes = new Uint32Array(prefixCuts.length)
  #firstBlank: number | undefined

  constructor(rules: PlanRules, faults: FaultList) {
    this.#rules = rules
    this.#faults = faults
  }

  readonly onLine = (line: Line): void => {
    if (this.full) return
    if (line.bytes && isBlank(line.bytes)) {
      this.#firstBlank ??= line.number
      return
    }
    this.#reportBlankLines(line.number)
    if (++this.requests > this.#rules.maxBatchRequests) this.#tooMany()
    else if (line.bytes) this.#readRequest(line, line.bytes)
    else {
      const message = `This line is ${line.length} bytes long. The most is ${this.#rules.maxLineBytes}.`
      this.#faults.add(line.number, 'invalid_request', null, message)
    }
  }

  /** Frees what only reading needs, before ordering takes its own memory. */
  forgetIds(): void {
    this.#customIds = new CustomIdSet()
  }

  // Blank lines at the end are nothing; between requests they are faults.
  #reportBlankLines(next: number): void {
    if (this.#firstBlank === undefined) return
    for (let blank = this.#firstBlank; blank < next; blank++) {
      this.#faults.add(blank, 'invalid_json_line', null, 'This line is not parseable as valid JSON.')
    }
    this.#firstBlank = undefined
  }

  #tooMany(): void {
    this.full = true
    const message = `The batch input file has more than ${this.#rules.maxBatchRequests} requests. Please try again with a smaller batch.`
    this.#faults.add(null, 'invalid_request', null, message)
  }

  #readRequest(line: Line, bytes: Buffer): void {
    const { customId, model, body } = checkLine(bytes, line.number, this.#rules, this.#faults)
    if (customId !== undefined && !this.#customIds.add(customId)) {
      const message = `The custom_id '${quotable(customId)}' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.`
      this.#faults.add(line.number, 'duplicate_custom_id', 'custom_id', message)
    }
    this.model ??= model
    if (model !== undefined && model !== this.model) {
      const message = `The model '${quotable(model)}' for this request does not match the rest of the batch. Each batch must contain requests for a single model.`
      this.#faults.add(line.number, 'mismatched_model', 'body.model', message)
    }
    // A file with a fault is never run, so its plan is not made either; only aliases can still be at fault.
    if (!body || model === undefined || (this.#faults.count > 0 && !this.#rules.resolve)) return
    const { offset, length, number } = line
    const media = mediaBytes(body)
    const outputTokens = this.#rules.endpoint === '/v1/embeddings' ? 0 : estimateOutputTokens(body)
    const promptTokens = estimatePromptTokens(length - media) + (media > 0 ? mediaTokens : 0)
    const estTokens = Math.min(promptTokens + outputTokens, planLimits.estTokensMax)
    const resolved = this.#rules.resolve?.({ model, line: number, estTokens, promptTokens, body }) ?? { model }
    if ('refusal' in resolved) this.#faults.add(number, 'model_not_found', 'body.model', resolved.refusal)
    if ('refusal' in resolved || this.#faults.count > 0) return
    hashPrefixes(body, this.#rules.endpoint, this.#prefixes)
    const digest = this.#rules.runIdenticalOnce ? sameAnswerDigest(bytes, body, this.#rules.endpoint) : undefined
    const entry = { offset, length, line: number, estTokens, prefixGroup: 0, flags: 0 }
    this.entries.add(resolved.model, entry, this.#prefixes, digest)
  }
}

// What a request with inline media is taken to cost besides its text.
const mediaTokens = 1024
