import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import type { ForebayError } from '@forebay/kernel'
import { toQueueError } from './errors.ts'
import type { SqsNames } from './names.ts'
import { ensureQueues, findQueues, type QueueUrls } from './queue-urls.ts'

/** Most messages of one call. */
export const callMessagesMax = 10

/** Which of a queue's two SQS queues a call is for. */
type Side = keyof QueueUrls
/** Per item of a batch call: why it failed, undefined when it did not. */
type ItemErrors = readonly (ForebayError | undefined)[]

/** The SDK calls of one queue and its dead-letter queue, failures as the port's errors. */
export class SqsCalls {
  readonly #name: string
  readonly #names: SqsNames
  readonly #client: SQSClient
  #urls: Promise<QueueUrls> | undefined

  constructor(options: { name: string; names: SqsNames; client: SQSClient }) {
    this.#name = options.name
    this.#names = options.names
    this.#client = options.client
  }

  /** Creates the two queues or verifies that they are there. */
  async ensure(leaseMs: number): Promise<void> {
    this.#urls = ensureQueues(this.#client, this.#names, leaseMs)
    await this.#url('queue')
  }

  /** Sends up to ten messages. */
  send(side: Side, messages: readonly Omit<SendMessageBatchRequestEntry, 'Id'>[]): Promise<ItemErrors> {
    const Entries = messages.map((message, i) => ({ ...message, Id: String(i) }))
    return this.#batch(Entries, async () =>
      this.#client.send(new SendMessageBatchCommand({ QueueUrl: await this.#url(side), Entries })),
    )
  }

  /** Leases up to ten messages; a wait of 0 only looks at some of SQS's servers. */
  async receive(
    side: Side,
    options: { max: number; waitSeconds: number; leaseSeconds: number },
  ): Promise<readonly Message[]> {
    const { Messages = [] } = await this.#call(async () =>
      this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: await this.#url(side),
          MaxNumberOfMessages: options.max,
          WaitTimeSeconds: options.waitSeconds,
          VisibilityTimeout: options.leaseSeconds,
          MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
          MessageAttributeNames: ['All'],
        }),
      ),
    )
    return Messages
  }

  /** Deletes up to ten messages. SQS answers well for most that are no longer leased. */
  remove(side: Side, messages: readonly Message[]): Promise<ItemErrors> {
    const Entries = messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }))
    return this.#batch(Entries, async () =>
      this.#client.send(new DeleteMessageBatchCommand({ QueueUrl: await this.#url(side), Entries })),
    )
  }

  /** Makes up to ten leases last `seconds` from now; 0 ends them. */
  setLease(messages: readonly Message[], seconds: number): Promise<ItemErrors> {
    const Entries = messages.map(({ ReceiptHandle }, i) => ({
      Id: String(i),
      ReceiptHandle,
      VisibilityTimeout: seconds,
    }))
    return this.#batch(Entries, async () =>
      this.#client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: await this.#url('queue'), Entries })),
    )
  }

  /** How many messages SQS says there are. */
  async count(side: Side): Promise<{ visible: number; inFlight: number; delayed: number }> {
    const { Attributes = {} } = await this.#call(async () =>
      this.#client.send(
        new GetQueueAttributesCommand({
          QueueUrl: await this.#url(side),
          AttributeNames: [
            'ApproximateNumberOfMessages',
            'ApproximateNumberOfMessagesNotVisible',
            'ApproximateNumberOfMessagesDelayed',
          ],
        }),
      ),
    )
    return {
      visible: Number(Attributes.ApproximateNumberOfMessages ?? 0),
      inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
      delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed ?? 0),
    }
  }

  /** Drops every message. SQS allows it once a minute. */
  async purge(side: Side): Promise<void> {
    await this.#call(async () => this.#client.send(new PurgeQueueCommand({ QueueUrl: await this.#url(side) })))
  }

  async #batch(
    entries: readonly unknown[],
    send: () => Promise<{ Failed?: { Id?: string | undefined; Code?: string | undefined }[] | undefined }>,
  ): Promise<ItemErrors> {
    const { Failed = [] } = await this.#call(send)
    // A failed entry in the form of a failed call.
    const errors = new Map(Failed.map((f) => [f.Id, Object.assign(new Error(), f, { name: f.Code ?? 'Unknown' })]))
    return entries.map((_, i) => {
      const error = errors.get(String(i))
      return error && toQueueError(error, this.#name)
    })
  }

  async #call<R>(send: () => Promise<R>): Promise<R> {
    try {
      return await send()
    } catch (err) {
      throw toQueueError(err, this.#name)
    }
  }

  async #url(side: Side): Promise<string> {
    this.#urls ??= findQueues(this.#client, this.#names)
    try {
      return (await this.#urls)[side]
    } catch (err) {
      this.#urls = undefined
      throw err
    }
  }
}
