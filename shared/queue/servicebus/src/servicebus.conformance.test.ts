import { type ServicebusEmulator, startServicebusEmulator } from '@forebay/emulators'
import { silentLogger } from '@forebay/kernel'
import { describeQueueDriver } from '@forebay/queue-conformance'
import { afterAll, beforeAll } from 'vitest'
import { makeServicebusProvider } from './provider.ts'

let emulator: ServicebusEmulator

beforeAll(async () => {
  emulator = await startServicebusEmulator()
})
afterAll(() => emulator?.stop())

describeQueueDriver(
  'Service Bus',
  // The lock is the queue's, and the suite's lease is short for four links that open at once.
  ({ clock, leaseMs }) =>
    makeServicebusProvider({ url: emulator.url, clock, logger: silentLogger, leaseMs: leaseMs * 2 }),
  {
    network: true,
    uncountedNack: false,
    reportsLostLease: true,
    redeliveryMsMax: 3_000,
    cutConnections: () => emulator.cutConnections(),
    throttle: (calls) => emulator.throttle(calls),
  },
)

// Microsoft's emulator, or Service Bus itself, as its QUEUE_URL. Locks there last five seconds at least.
const { FOREBAY_TEST_SERVICEBUS_URL: url } = process.env
if (url) {
  describeQueueDriver(
    `Service Bus at ${url}`,
    ({ clock }) => makeServicebusProvider({ url, clock, logger: silentLogger, leaseMs: 5_000 }),
    { network: true, uncountedNack: false, reportsLostLease: true, redeliveryMsMax: 10_000 },
  )
}
