import { describeQueueDriver } from '@forebay/queue-conformance'
import { makeMemoryProvider } from './provider.ts'

describeQueueDriver('memory', async ({ clock }) => makeMemoryProvider({ clock }), {
  network: false,
  uncountedNack: true,
  reportsLostLease: true,
  redeliveryMsMax: 500,
})
