import { cloudQueueUrls, parseQueueUrl } from '@forebay/queue-port'
import { PubSub, v1 } from '@google-cloud/pubsub'
import { type Contender, type ContenderOptions, decode, encode, inLoops, inSlices, leaseSeconds } from './contender.ts'

/** Pub/Sub's own limit of a publish, a pull and an acknowledgement. */
const callMax = 1_000
const width = 4
const pullMs = 1_000
const deadlineExceeded = 4

/** Pub/Sub in its best batched use: a thousand messages per publish, pull and acknowledgement, several at once. */
export async function openBarePubsub(options: ContenderOptions): Promise<Contender> {
  const { host: project, params } = parseQueueUrl(options.url, cloudQueueUrls.pubsub)
  const pubsub = new PubSub({ projectId: project, apiEndpoint: params.get('endpoint') ?? '', emulatorMode: true })
  const config = (await pubsub.getClientConfig()) as NonNullable<ConstructorParameters<typeof v1.PublisherClient>[0]>
  config.clientOptions = { universeDomain: 'googleapis.com' }
  const publisher = new v1.PublisherClient(config)
  const subscriber = new v1.SubscriberClient(config)
  const topic = `projects/${project}/topics/${options.name}`
  const subscription = `projects/${project}/subscriptions/${options.name}`
  await publisher.createTopic({ name: topic })
  await subscriber.createSubscription({ name: subscription, topic, ackDeadlineSeconds: leaseSeconds })
  const stopping = new AbortController()
  let loops: Promise<unknown> = Promise.resolve()

  const pull = async () => {
    try {
      const request = { subscription, maxMessages: callMax }
      const [response] = await subscriber.pull(request, { timeout: pullMs, retry: { retryCodes: [] } })
      return response.receivedMessages ?? []
    } catch (err) {
      if (err instanceof Error && 'code' in err && err.code === deadlineExceeded) return []
      throw err
    }
  }
  return {
    send: (jobs) =>
      inSlices(jobs, { size: callMax, width }, async (slice) => {
        await publisher.publish({ topic, messages: slice.map(({ job }) => ({ data: encode(job) })) })
      }),
    start(on) {
      const step = async () => {
        const received = await pull()
        if (received.length === 0) return
        for (const { message } of received) on.arrived(decode(Buffer.from(message?.data ?? '')))
        await subscriber.acknowledge({ subscription, ackIds: received.map(({ ackId }) => ackId ?? '') })
        on.acknowledged(received.length)
      }
      loops = inLoops({ loops: width, stop: stopping.signal, on, step })
    },
    async stop() {
      stopping.abort()
      await loops
      await Promise.all([publisher.close(), subscriber.close(), pubsub.close()])
    },
  }
}
