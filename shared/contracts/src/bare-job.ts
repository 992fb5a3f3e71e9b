const kept = [
  ...['v', 'kind', 'requestId', 'batchId', 'chunk', 'tenantId', 'apiKeyId', 'attempt', 'endpoint', 'model', 'pool'],
  ...['lane', 'acceptedAtMs', 'deadlineMs'],
]
const charsMax = 200

/**
 * What a dead letter keeps of a work job, or of what was taken for one: whose it was, where and when, and nothing that
 * was asked. Nobody needs more: what was lost of a batch is released again, and the client of a request has left.
 */
export function bareWorkJob(value: unknown): object {
  if (value === null || typeof value !== 'object') return {}
  const fields = Object.entries(value).filter(
    ([name, field]) =>
      kept.includes(name) && (typeof field === 'number' || (typeof field === 'string' && field.length <= charsMax)),
  )
  return Object.fromEntries(fields)
}
