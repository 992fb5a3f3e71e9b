import { hash } from 'node:crypto'
import type { InferenceEndpoint } from '@forebay/contracts'
import { findMembers } from '@forebay/plan'

/**
 * The SHA-256 of a request's body as it stands in its line, if the same body is bound to get the same answer: at
 * temperature 0, or with a seed, and always for embeddings. Undefined for all others: they are meant to differ.
 */
export function sameAnswerDigest(
  line: Buffer,
  body: Record<string, unknown>,
  endpoint: InferenceEndpoint,
): Buffer | undefined {
  const same = endpoint === '/v1/embeddings' || body['temperature'] === 0 || Number.isInteger(body['seed'])
  const span = same ? findMembers(line, ['body'])?.body : undefined
  return span && hash('sha256', line.subarray(span.start, span.end), 'buffer')
}
