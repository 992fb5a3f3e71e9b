import { systemClock } from '@forebay/kernel'
import { describeQueueDriver } from '@forebay/queue-conformance'
import { makeMemoryProvider } from './provider.ts'

describeQueueDriver('memory', async () => makeMemoryProvider({ clock: systemClock }), {
  network: false,
  uncountedNack: true,
  reportsLostLease: true,
  redeliveryMsMax: 500,
})
