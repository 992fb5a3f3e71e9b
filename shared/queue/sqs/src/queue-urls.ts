import { CreateQueueCommand, GetQueueAttributesCommand, GetQueueUrlCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { ForebayError } from '@forebay/kernel'
import { toQueueError } from './errors.ts'
import type { SqsNames } from './names.ts'

/** Dead letters are kept for SQS's longest. */
const retentionSeconds = 14 * 24 * 3_600
/** A net under crash loops, SQS's widest: the attempts a job has are counted above, where a dead letter loses its content. */
const receivesMax = 1_000

/** Where a queue and its dead-letter queue are. */
export interface QueueUrls {
  readonly queue: string
  readonly dead: string
}

/** Looks the two queues up. Rejects with `not_found` when one is missing. */
export async function findQueues(client: SQSClient, names: SqsNames): Promise<QueueUrls> {
  const [queue, dead] = await Promise.all([names.queue, names.dead].map((name) => findQueue(client, name)))
  return { queue: queue ?? '', dead: dead ?? '' }
}

/** Creates the two queues, or finds them where they exist or may not be created. Safe to repeat. */
export async function ensureQueues(client: SQSClient, names: SqsNames, leaseMs: number): Promise<QueueUrls> {
  const dead = await ensureQueue(client, names.dead, { MessageRetentionPeriod: String(retentionSeconds) })
  const { Attributes } = await client
    .send(new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ['QueueArn'] }))
    .catch((err: unknown) => Promise.reject(toQueueError(err, names.dead)))
  const queue = await ensureQueue(client, names.queue, {
    MessageRetentionPeriod: String(retentionSeconds),
    VisibilityTimeout: String(Math.ceil(leaseMs / 1_000)),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: receivesMax }),
  })
  return { queue, dead }
}

async function ensureQueue(client: SQSClient, name: string, attributes: Record<string, string>): Promise<string> {
  try {
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }))
    return QueueUrl ?? ''
  } catch (err) {
    const ours = toQueueError(err, name)
    // It exists with settings of its operator's own, or is not ours to create.
    const exists = err instanceof Error && /QueueNameExists|QueueAlreadyExists/.test(err.name)
    if (!exists && ours.code !== 'queue_denied') throw ours
    return findQueue(client, name).catch((missing: unknown) => {
      throw exists ? missing : cannotCreate(name, err)
    })
  }
}

async function findQueue(client: SQSClient, name: string): Promise<string> {
  try {
    return (await client.send(new GetQueueUrlCommand({ QueueName: name }))).QueueUrl ?? ''
  } catch (err) {
    throw toQueueError(err, name)
  }
}

function cannotCreate(name: string, cause: unknown): ForebayError {
  return new ForebayError(
    'queue_denied',
    `SQS queue "${name}" does not exist or may not be seen, and these credentials may not create it: allow sqs:CreateQueue, or create it and allow sqs:GetQueueUrl.`,
    { cause },
  )
}
