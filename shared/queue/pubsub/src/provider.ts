import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { cloudQueueUrls, makeQueueProvider, parseQueueUrl, type QueueProvider } from '@forebay/queue-port'
import { PubSub, v1 } from '@google-cloud/pubsub'
import { PubsubQueue } from './driver.ts'
import { pubsubNames } from './names.ts'
import { PubsubCalls } from './pubsub-calls.ts'
import { makeReadUndelivered, type ReadUndelivered } from './undelivered.ts'

const form = cloudQueueUrls.pubsub

/**
 * Queues on Google Cloud Pub/Sub: `pubsub://<project>/<prefix>`. An emulator is named by PUBSUB_EMULATOR_HOST or by
 * `?endpoint=host:port`, and with `&monitoring=http://…` one that tells depths. Credentials come from Google's usual
 * chain. Rejects with `config_invalid` for another URL; the broker is first spoken to by a queue's own methods.
 */
export async function makePubsubProvider(options: {
  url: string
  clock: Clock
  logger: Logger
  leaseMs: number
}): Promise<QueueProvider> {
  const { clock, leaseMs, url } = options
  const { host: project, params, prefix } = parseQueueUrl(url, form)
  const endpoint = params.get('endpoint')
  const pubsub = new PubSub({ projectId: project, ...(endpoint ? { apiEndpoint: endpoint, emulatorMode: true } : {}) })
  // The v1 clients do not look for an emulator; the class that does hands over what it found.
  const config = (await pubsub.getClientConfig()) as NonNullable<ConstructorParameters<typeof v1.PublisherClient>[0]>
  // Against an emulator, keeps the clients from looking for credentials that need not be there.
  if (pubsub.isEmulator) config.clientOptions = { universeDomain: 'googleapis.com' }
  const publisher = new v1.PublisherClient(config)
  const subscriber = new v1.SubscriberClient(config)
  const monitoring = params.get('monitoring')
  const readUndelivered: ReadUndelivered =
    pubsub.isEmulator && !monitoring
      ? tellsNoDepth
      : makeReadUndelivered({ project, ...(monitoring ? { endpoint: monitoring } : {}) })
  return makeQueueProvider({
    make(name) {
      const names = pubsubNames({ project, prefix, name })
      const calls = new PubsubCalls({ name, names, publisher, subscriber })
      const counted = [names.subscription, names.deadSubscription]
      return new PubsubQueue({ name, calls, readUndelivered: (now) => readUndelivered(counted, now), clock, leaseMs })
    },
    async closeConnections() {
      await Promise.all([publisher.close(), subscriber.close(), pubsub.close()])
    },
  })
}

const tellsNoDepth: ReadUndelivered = async () => {
  throw new ForebayError(
    'unavailable',
    'This Pub/Sub emulator tells no depth: name one that does in the queue URL, as &monitoring=http://host:port.',
  )
}
