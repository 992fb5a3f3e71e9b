import { isTerminal } from '@forebay/contracts'
import type { Batch, Measured } from './api-objects.ts'
import { type ExitCode, exitCodes } from './failure.ts'
import { count, fields, money, time } from './text.ts'

const errorsShownMax = 20

/** A batch for people. */
export function describeBatch(batch: Batch): string {
  const { total, completed, failed } = batch.request_counts
  const usage = batch.usage
  return fields([
    ['id', batch.id],
    ['status', batch.status],
    ['requests', total > 0 ? `${completed + failed}/${total} done, ${failed} failed` : null],
    ['endpoint', batch.endpoint],
    ['model', batch.model],
    ['tokens', usage ? `${usage.input_tokens} in, ${usage.output_tokens} out` : null],
    ['cost', batch.forebay ? money(batch.forebay.cost_nano, batch.forebay.currency) : null],
    ['run once', batch.forebay?.identical ? `${batch.forebay.identical} got the answer of an identical request` : null],
    ['prefix cache', describePrefix(batch)],
    ['repetition', describeMeasured(batch.forebay?.quality?.repetition)],
    ['perplexity', describeMeasured(batch.forebay?.quality?.perplexity)],
    ['created', time(batch.created_at)],
    ['expires', time(batch.expires_at)],
    ['input', batch.input_file_id],
    ['output', batch.output_file_id],
    ['errors', batch.error_file_id],
    ...Object.entries(batch.metadata ?? {}).map(([key, value]) => [`metadata ${key}`, value] as const),
  ])
}

// What the order brought: only where requests begin alike, or the engine found something in its cache.
function describePrefix(batch: Batch): string | null {
  const prefix = batch.forebay?.prefix
  if (!prefix || !(prefix.expected_share || prefix.cached_share)) return null
  const expected = `${percent(prefix.expected_share)} expected, ${percent(prefix.file_order_share)} in file order`
  const seen =
    prefix.cached_share === null
      ? 'the engine does not say what it found'
      : `${percent(prefix.cached_share)} of prompt tokens found`
  return `${prefix.unknown === 0 && prefix.cached_share === null ? '' : `${seen}; `}${expected}`
}

function describeMeasured(measured: Measured | null | undefined): string | null {
  if (!measured) return null
  const { answers, mean, over, p95 } = measured
  return `${mean} on average, ${p95} at the 95th percentile, ${over} of ${answers} answers over the threshold`
}

function percent(share: number | null): string {
  return share === null ? 'unknown' : `${Math.round(share * 1000) / 10} %`
}

/** The faults that validation found, the first twenty of them. Empty when there are none. */
export function describeErrors(batch: Batch): string[] {
  const errors = batch.errors?.data ?? []
  if (errors.length === 0) return []
  const more = errors.length - errorsShownMax
  return [
    `The input file has ${count(errors.length, 'fault')}; nothing was run:`,
    ...errors.slice(0, errorsShownMax).map(({ line, message, code, param }) => {
      const where = [code, param].filter(Boolean).join(', ')
      return `  ${line === null ? 'file' : `line ${line}`}: ${message} (${where})`
    }),
    ...(more > 0 ? [`  and ${more} more; see: forebay batch get ${batch.id} --json`] : []),
  ]
}

/** What a person would do next with the batch. */
export function nextSteps(batch: Batch): string[] {
  if (!isTerminal(batch.status)) return [`Next: forebay batch watch ${batch.id}`]
  return [
    ...(batch.output_file_id ? [`Next: forebay batch results ${batch.id} -o results.jsonl`] : []),
    ...(batch.error_file_id ? [`Next: forebay batch errors ${batch.id}`] : []),
  ]
}

/** How a batch ended, as an exit code; 0 while it has not. */
export function exitCodeOf(batch: Batch): ExitCode {
  if (batch.status === 'failed' || batch.status === 'expired' || batch.status === 'cancelled')
    return exitCodes.batchFailed
  return batch.status === 'completed' && batch.request_counts.failed > 0 ? exitCodes.linesFailed : exitCodes.ok
}
