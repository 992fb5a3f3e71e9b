import { ForebayError, isForebayError } from '@forebay/kernel'

/** gRPC's status numbers that matter here. */
export const grpcStatus = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  unauthenticated: 16,
} as const

/** The status number of a failed gRPC call, undefined for another failure. */
export function statusOf(err: unknown): number | undefined {
  return err instanceof Error && 'code' in err && typeof err.code === 'number' ? err.code : undefined
}

/** A failure of Pub/Sub or its SDK as one of the port's codes. */
export function toQueueError(err: unknown, queue: string): ForebayError {
  if (isForebayError(err)) return err
  const options = { cause: err }
  const text = err instanceof Error ? err.message : String(err)
  switch (statusOf(err)) {
    case grpcStatus.notFound:
      return new ForebayError(
        'not_found',
        `Pub/Sub has no topic or subscription for queue "${queue}": create it, or allow pubsub.topics.create and pubsub.subscriptions.create and restart.`,
        options,
      )
    case grpcStatus.permissionDenied:
    case grpcStatus.unauthenticated:
      return new ForebayError(
        'queue_denied',
        `Pub/Sub refused our credentials for queue "${queue}": check the project in the queue URL, and give the service account the roles Pub/Sub Publisher and Subscriber.`,
        options,
      )
    case grpcStatus.resourceExhausted:
      return new ForebayError('overloaded', `Pub/Sub is throttling calls on queue "${queue}": its quota is used up.`, {
        ...options,
        retryAfterMs: 1_000,
      })
    case grpcStatus.invalidArgument:
    case grpcStatus.alreadyExists:
      return new ForebayError('queue_invalid', `Pub/Sub refused a call on queue "${queue}" as invalid.`, options)
    default:
      break
  }
  if (/default credentials|invalid_grant|invalid_client/.test(text)) {
    return new ForebayError(
      'queue_denied',
      `No Google Cloud credentials were found or accepted for queue "${queue}": set GOOGLE_APPLICATION_CREDENTIALS, or run with a service account.`,
      options,
    )
  }
  if (statusOf(err) === undefined && !/ECONN|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|fetch failed|timeout|channel/i.test(text)) {
    return new ForebayError('queue_invalid', `A call on queue "${queue}" could not be made.`, options)
  }
  return new ForebayError('unavailable', `Pub/Sub cannot be reached just now for queue "${queue}".`, options)
}
