import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { cloudQueueUrls, parseQueueUrl } from '@forebay/queue-port'
import { type Contender, type ContenderOptions, decode, inLoops, inSlices, leaseSeconds } from './contender.ts'

/** SQS's own limit of a call. */
const callMax = 10
/** Calls under way of each kind; more made no difference. */
const width = 8

/** SQS in its best use: batches of ten throughout, several calls at once, kept connections. */
export async function openBareSqs(options: ContenderOptions): Promise<Contender> {
  const { host, params } = parseQueueUrl(options.url, cloudQueueUrls.sqs)
  const client = new SQSClient({
    region: host,
    endpoint: params.get('endpoint') ?? '',
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: 200 } },
  })
  const { QueueUrl } = await client.send(
    new CreateQueueCommand({ QueueName: options.name, Attributes: { VisibilityTimeout: String(leaseSeconds) } }),
  )
  const stopping = new AbortController()
  let loops: Promise<unknown> = Promise.resolve()
  return {
    send: (jobs) =>
      inSlices(jobs, { size: callMax, width }, async (slice) => {
        const Entries = slice.map(({ job }, i) => ({ Id: String(i), MessageBody: JSON.stringify(job) }))
        const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }))
        if (Failed.length > 0) throw new Error(`SQS refused a message: ${Failed[0]?.Code}`)
      }),
    start(on) {
      const step = async () => {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: callMax, WaitTimeSeconds: 1 }),
        )
        if (Messages.length === 0) return
        for (const { Body = '' } of Messages) on.arrived(decode(Body))
        const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }))
        const { Failed = [] } = await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
        if (Failed.length > 0) throw new Error(`SQS refused a delete: ${Failed[0]?.Code}`)
        on.acknowledged(Messages.length)
      }
      loops = inLoops({ loops: width, stop: stopping.signal, on, step })
    },
    async stop() {
      stopping.abort()
      await loops
      client.destroy()
    },
  }
}
