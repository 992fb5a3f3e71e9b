import { startPubsubEmulator, startServicebusEmulator, startSqsEmulator } from '@forebay/emulators'

/** Which emulator this process is to be. */
export interface BrokerTask {
  broker: 'sqs' | 'pubsub' | 'servicebus'
}

const starts = { sqs: startSqsEmulator, pubsub: startPubsubEmulator, servicebus: startServicebusEmulator }

process.on('message', (task: BrokerTask) => {
  void starts[task.broker]().then(({ url }) => process.send?.({ url }))
})
