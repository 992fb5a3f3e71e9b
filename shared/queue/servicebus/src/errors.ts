import { ForebayError, isForebayError } from '@forebay/kernel'
import { leaseLost } from '@forebay/queue-port'

/** The code that the SDK, its management client or the network put on a failure. */
export function codeOf(err: unknown): string {
  if (!(err instanceof Error)) return ''
  const status = 'statusCode' in err ? ` ${String(err.statusCode)}` : ''
  return `${err.name} ${'code' in err ? String(err.code) : ''}${status}`
}

/** A failure of Service Bus or its SDK as one of the port's codes. */
export function toQueueError(err: unknown, queue: string): ForebayError {
  if (isForebayError(err)) return err
  // What several tries failed with: the first says most, the last may only say that the SDK has given up.
  if (err instanceof AggregateError && err.errors.length > 0) return toQueueError(err.errors[0], queue)
  const code = codeOf(err)
  const text = `${code} ${err instanceof Error ? err.message : String(err)}`
  const options = { cause: err }
  if (/MessageLockLost|already (been )?settled|lock.*(lost|expired)/i.test(text)) return leaseLost('(unnamed)', err)
  if (/EntityNotFound|EntityDisabled| 404$/.test(code)) {
    return new ForebayError(
      'not_found',
      `Service Bus has no queue for "${queue}" in this namespace: create it, or give the identity Azure Service Bus Data Owner and restart.`,
      options,
    )
  }
  if (/Unauthorized|CredentialUnavailable|AuthenticationRequired|AuthenticationError| 40[13]$/.test(code)) {
    return new ForebayError(
      'queue_denied',
      `Service Bus refused our credentials for queue "${queue}": check the Azure identity and the namespace in the queue URL, and give it Azure Service Bus Data Sender and Receiver.`,
      options,
    )
  }
  if (/ServiceBusy|QuotaExceeded| 429$/.test(code)) {
    return new ForebayError('overloaded', `Service Bus is throttling queue "${queue}", or the queue is full.`, {
      ...options,
      retryAfterMs: 2_000,
    })
  }
  if (
    /ServiceTimeout|ServiceCommunicationProblem|OperationTimeout|AbortError|GeneralError|ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|REQUEST_SEND_ERROR|ENOENT|closed|disconnect| 5\d\d$/i.test(
      text,
    )
  ) {
    return new ForebayError('unavailable', `Service Bus cannot be reached just now for queue "${queue}".`, options)
  }
  return new ForebayError('queue_invalid', `Service Bus refused a call on queue "${queue}".`, options)
}
