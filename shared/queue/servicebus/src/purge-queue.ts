import type { ServiceBusClient } from '@azure/service-bus'
import { toQueueError } from './errors.ts'

const callMax = 100
const emptyMs = 250

/** Removes what is not locked: active, scheduled and dead messages. Service Bus has no call for it. */
export async function purgeQueue(client: ServiceBusClient, name: string): Promise<void> {
  try {
    await cancelScheduled(client, name)
    await Promise.all([removeAll(client, name, {}), removeAll(client, name, { subQueueType: 'deadLetter' })])
  } catch (err) {
    throw toQueueError(err, name)
  }
}

async function removeAll(client: ServiceBusClient, name: string, side: { subQueueType?: 'deadLetter' }): Promise<void> {
  const receiver = client.createReceiver(name, { receiveMode: 'receiveAndDelete', ...side })
  try {
    const options = { maxWaitTimeInMs: emptyMs, maxTimeAfterFirstMessageInMs: emptyMs }
    while ((await receiver.receiveMessages(callMax, options)).length > 0) {}
  } finally {
    await receiver.close()
  }
}

async function cancelScheduled(client: ServiceBusClient, name: string): Promise<void> {
  const [receiver, sender] = [client.createReceiver(name), client.createSender(name)]
  try {
    for (
      let page = await receiver.peekMessages(callMax);
      page.length > 0;
      page = await receiver.peekMessages(callMax)
    ) {
      const scheduled = page.flatMap(({ sequenceNumber, state }) =>
        state === 'scheduled' && sequenceNumber ? [sequenceNumber] : [],
      )
      if (scheduled.length > 0) await sender.cancelScheduledMessages(scheduled)
    }
  } finally {
    await Promise.all([receiver.close(), sender.close()])
  }
}
