import { SQSClient } from '@aws-sdk/client-sqs'
import type { Clock, Logger } from '@forebay/kernel'
import { cloudQueueUrls, makeQueueProvider, parseQueueUrl, type QueueProvider } from '@forebay/queue-port'
import { SqsQueue } from './driver.ts'
import { sqsNames } from './names.ts'
import { SqsCalls } from './sqs-calls.ts'

/** The SDK's 50 sockets would run out under the long polls of many lanes. */
const agent = { keepAlive: true, maxSockets: 200 }
const form = cloudQueueUrls.sqs

/**
 * Queues on Amazon SQS: `sqs://<region>/<prefix>`, with `?endpoint=http://…` for something else that speaks SQS.
 * Credentials come from the SDK's usual chain. Rejects with `config_invalid` for another URL; the broker is first
 * spoken to by a queue's own methods.
 */
export async function makeSqsProvider(options: {
  url: string
  clock: Clock
  logger: Logger
  leaseMs: number
}): Promise<QueueProvider> {
  const { clock, leaseMs, url } = options
  const { host, params, prefix } = parseQueueUrl(url, form)
  const endpoint = params.get('endpoint')
  const client = new SQSClient({
    region: host,
    maxAttempts: 3,
    // A long poll lasts 20 s; a socket silent for longer is dead.
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: 30_000,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(endpoint ? { endpoint } : {}),
  })
  return makeQueueProvider({
    make(name) {
      const calls = new SqsCalls({ name, names: sqsNames(prefix, name), client })
      return new SqsQueue({ name, calls, clock, leaseMs })
    },
    closeConnections: async () => client.destroy(),
  })
}
