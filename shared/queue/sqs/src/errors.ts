import { ForebayError, isForebayError } from '@forebay/kernel'
import { leaseLost } from '@forebay/queue-port'

const denied =
  /AccessDenied|NotAuthorized|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidSignature|ExpiredToken|CredentialsProvider|InvalidSecurity|MissingAuthenticationToken|OptInRequired|KmsAccessDenied|InvalidAddress/
const throttled =
  /Throttl|OverLimit|TooManyRequests|SlowDown|PurgeQueueInProgress|RequestLimitExceeded|QueueDeletedRecently/
const unavailable =
  /ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|TimeoutError|NetworkingError|socket hang up|ServiceUnavailable|InternalFailure|InternalError|RequestTimeout|AbortError/

/** A failure of SQS or its SDK as one of the port's codes. */
export function toQueueError(err: unknown, queue: string): ForebayError {
  if (isForebayError(err)) return err
  const { code, status, text } = describe(err)
  const options = { cause: err }
  if (/QueueDoesNotExist|NonExistentQueue/.test(code)) {
    return new ForebayError(
      'not_found',
      `SQS has no queue "${queue}" in this account and region: create it, or allow sqs:CreateQueue and restart.`,
      options,
    )
  }
  if (/MessageNotInflight|ReceiptHandleIsInvalid|not available for visibility timeout change/.test(text)) {
    return leaseLost('(unnamed)', err)
  }
  if (throttled.test(code)) {
    const retryAfterMs = /Purge|DeletedRecently/.test(code) ? 60_000 : 1_000
    return new ForebayError('overloaded', `SQS is throttling calls on queue "${queue}" (${code}).`, {
      cause: err,
      retryAfterMs,
    })
  }
  if (denied.test(text) || status === 401 || status === 403) {
    return new ForebayError(
      'queue_denied',
      `SQS refused our credentials for queue "${queue}" (${code}): check the AWS credentials, the region in the queue URL and the policy's sqs: actions.`,
      options,
    )
  }
  if (unavailable.test(text) || status >= 500) {
    return new ForebayError('unavailable', `SQS cannot be reached just now for queue "${queue}".`, options)
  }
  return new ForebayError('queue_invalid', `SQS refused a call on queue "${queue}" (${code}).`, options)
}

function describe(err: unknown): { code: string; status: number; text: string } {
  if (!(err instanceof Error)) return { code: String(err), status: 0, text: String(err) }
  const own = 'code' in err ? String(err.code) : ''
  const metadata = '$metadata' in err && typeof err.$metadata === 'object' ? err.$metadata : undefined
  const status = metadata && 'httpStatusCode' in metadata ? Number(metadata.httpStatusCode) : 0
  return { code: err.name === 'Error' && own ? own : err.name, status, text: `${err.name} ${own} ${err.message}` }
}
