import { ServiceBusClient } from '@azure/service-bus'
import { silentLogger, systemClock } from '@forebay/kernel'
import { cloudQueueUrls, parseQueueUrl } from '@forebay/queue-port'
import { openQueues } from '@forebay/queue-select'
import { type Contender, type ContenderOptions, decode, encode, inLoops, inSlices, leaseSeconds } from './contender.ts'

/** Messages of a send: what fits a batch of 256 KB. */
const sendMax = 80
const receiveMax = 500
/** Receivers, each with one receive under way, which is all the SDK allows. */
const width = 2
const pollMs = 1_000

/** Service Bus in its best use: batched sends, and receivers that take many and complete them side by side. */
export async function openBareServicebus(options: ContenderOptions): Promise<Contender> {
  const { params } = parseQueueUrl(options.url, cloudQueueUrls.servicebus)
  const entity = await makeQueue(options)
  const keys = 'SharedAccessKeyName=emulator;SharedAccessKey=emulator;UseDevelopmentEmulator=true'
  const client = new ServiceBusClient(`Endpoint=${params.get('endpoint')};${keys}`)
  const sender = client.createSender(entity)
  const settings = { maxAutoLockRenewalDurationInMs: 0, skipParsingBodyAsJson: true }
  const receivers = Array.from({ length: width }, () => client.createReceiver(entity, settings))
  const stopping = new AbortController()
  let loops: Promise<unknown> = Promise.resolve()
  return {
    send: (jobs) =>
      inSlices(jobs, { size: sendMax, width: 2 }, (slice) =>
        sender.sendMessages(slice.map(({ id, job }) => ({ messageId: id, body: encode(job) }))),
      ),
    start(on) {
      const idle = [...receivers]
      const step = async () => {
        const receiver = idle.pop()
        if (!receiver) return
        // The second is an option that the SDK takes and does not document: without it, it waits a second for more.
        const wait = { maxWaitTimeInMs: pollMs, maxTimeAfterFirstMessageInMs: 10 }
        const received = await receiver.receiveMessages(receiveMax, wait)
        for (const { body } of received) on.arrived(decode(body as Uint8Array))
        await Promise.all(received.map((message) => receiver.completeMessage(message)))
        idle.push(receiver)
        on.acknowledged(received.length)
      }
      loops = inLoops({ loops: width, stop: stopping.signal, on, step })
    },
    async stop() {
      stopping.abort()
      await loops
      await client.close()
    },
  }
}

/** The SDK's management speaks https only, which an emulator does not: the driver, which knows how, makes the queue. */
async function makeQueue(options: ContenderOptions): Promise<string> {
  const leaseMs = leaseSeconds * 1_000
  const provider = await openQueues({ url: options.url, clock: systemClock, logger: silentLogger, leaseMs })
  await provider.queue(options.name).ensure()
  await provider.close()
  return `forebay.${options.name}`
}
