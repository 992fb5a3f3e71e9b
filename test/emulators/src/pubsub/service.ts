import { createRequire } from 'node:module'
import {
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { type PubsubBroker, PubsubError } from './broker.ts'

/** An empty pull is answered this much before the caller's deadline, and after `pullMsMax` at the latest. */
const pullMarginMs = 100
const pullMsMax = 29_000

/** A gRPC service of Pub/Sub's and what answers it. */
export interface PubsubService {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

/** Pub/Sub's Publisher and Subscriber, by the descriptors that the SDK itself carries. `admit` throws to refuse a call. */
export function pubsubServices(broker: PubsubBroker, admit: (method: string) => void): PubsubService[] {
  const json: Parameters<typeof fromJSON>[0] = createRequire(import.meta.url)(
    '@google-cloud/pubsub/build/protos/protos.json',
  )
  const definitions = fromJSON(json, { longs: String, enums: String, defaults: true })

  // The descriptors say what a request is; the generic says which one a handler is for.
  const unary =
    <Request>(method: string, answer: (request: Request, signal: AbortSignal, waitMs: number) => unknown) =>
    (call: ServerUnaryCall<Request, unknown>, reply: sendUnaryData<unknown>) => {
      const cancelled = new AbortController()
      call.on('cancelled', () => cancelled.abort())
      const deadline = call.getDeadline()
      const leftMs = Number(deadline instanceof Date ? deadline.getTime() : deadline) - Date.now()
      const waitMs = Math.max(0, Math.min(pullMsMax, leftMs - pullMarginMs))
      const run = async () => {
        admit(method)
        return answer(call.request, cancelled.signal, waitMs)
      }
      run().then(
        (result) => reply(null, result ?? {}),
        (err: unknown) =>
          reply({
            code: err instanceof PubsubError ? err.code : status.INTERNAL,
            details: err instanceof Error ? err.message : String(err),
          }),
      )
    }

  const publisher = {
    CreateTopic: unary<{ name: string }>('CreateTopic', (request) => {
      broker.createTopic(request.name)
      return request
    }),
    GetTopic: unary<{ topic: string }>('GetTopic', ({ topic }) => {
      broker.topic(topic)
      return { name: topic }
    }),
    Publish: unary<Parameters<PubsubBroker['publish']>[0]>('Publish', (request) => ({
      messageIds: broker.publish(request),
    })),
  }
  const subscriber = {
    CreateSubscription: unary<Parameters<PubsubBroker['createSubscription']>[0]>('CreateSubscription', (request) => {
      broker.createSubscription(request)
      return request
    }),
    GetSubscription: unary<{ subscription: string }>('GetSubscription', ({ subscription }) => {
      const { ackDeadlineSeconds, deadLetter, name, topic } = broker.subscription(subscription).settings
      const policy = deadLetter && { deadLetterTopic: deadLetter.topic, maxDeliveryAttempts: deadLetter.attemptsMax }
      return { name, topic, ackDeadlineSeconds, deadLetterPolicy: policy }
    }),
    Pull: unary<{ subscription: string; maxMessages: number }>('Pull', async (request, signal, waitMs) => {
      const deliveries = await broker.pull(request.subscription, request.maxMessages, waitMs, signal)
      return {
        receivedMessages: deliveries.map(({ ackId, attempt, message }) => ({
          ackId,
          deliveryAttempt: attempt,
          message: {
            ...message,
            publishTime: {
              seconds: String(Math.floor(message.publishedAt / 1_000)),
              nanos: (message.publishedAt % 1_000) * 1_000_000,
            },
          },
        })),
      }
    }),
    Acknowledge: unary<{ subscription: string; ackIds: string[] }>('Acknowledge', ({ ackIds, subscription }) =>
      broker.subscription(subscription).acknowledge(ackIds),
    ),
    ModifyAckDeadline: unary<{ subscription: string; ackIds: string[]; ackDeadlineSeconds: number }>(
      'ModifyAckDeadline',
      (request) => broker.modify(request.subscription, request.ackIds, request.ackDeadlineSeconds),
    ),
    Seek: unary<{ subscription: string; time: { seconds: string; nanos: number } }>('Seek', ({ subscription, time }) =>
      broker.subscription(subscription).seek(Number(time.seconds) * 1_000 + time.nanos / 1_000_000),
    ),
  }
  const definitionOf = (name: string): ServiceDefinition => {
    const found = definitions[`google.pubsub.v1.${name}`]
    if (!found || 'format' in found) throw new Error(`The SDK's descriptors have no service ${name}`)
    return found
  }
  return [
    { definition: definitionOf('Publisher'), implementation: publisher },
    { definition: definitionOf('Subscriber'), implementation: subscriber },
  ]
}
