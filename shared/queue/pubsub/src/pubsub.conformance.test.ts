import { type PubsubEmulator, startPubsubEmulator } from '@forebay/emulators'
import { silentLogger } from '@forebay/kernel'
import { describeQueueDriver } from '@forebay/queue-conformance'
import { afterAll, beforeAll } from 'vitest'
import { makePubsubProvider } from './provider.ts'

let emulator: PubsubEmulator

beforeAll(async () => {
  emulator = await startPubsubEmulator()
})
afterAll(() => emulator?.stop())

describeQueueDriver(
  'Pub/Sub',
  ({ clock, leaseMs }) => makePubsubProvider({ url: emulator.url, clock, logger: silentLogger, leaseMs }),
  {
    network: true,
    uncountedNack: false,
    reportsLostLease: false,
    redeliveryMsMax: 1_500,
    cutConnections: () => emulator.cutConnections(),
    throttle: (calls) => emulator.throttle(calls),
  },
)

// Another reading of Pub/Sub, when there is one: Google's emulator, or Pub/Sub itself, as its QUEUE_URL.
const { FOREBAY_TEST_PUBSUB_URL: url } = process.env
if (url) {
  describeQueueDriver(
    `Pub/Sub at ${url}`,
    ({ clock, leaseMs }) => makePubsubProvider({ url, clock, logger: silentLogger, leaseMs }),
    {
      network: true,
      uncountedNack: false,
      reportsLostLease: false,
      redeliveryMsMax: 3_000,
      // Google's emulator has no metrics, and Cloud Monitoring's are minutes old.
      tellsDepth: false,
    },
  )
}
