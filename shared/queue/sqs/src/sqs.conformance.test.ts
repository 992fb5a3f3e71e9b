import { type SqsEmulator, startSqsEmulator } from '@forebay/emulators'
import { silentLogger } from '@forebay/kernel'
import { describeQueueDriver } from '@forebay/queue-conformance'
import { afterAll, beforeAll, vi } from 'vitest'
import { makeSqsProvider } from './provider.ts'

let emulator: SqsEmulator

beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
  emulator = await startSqsEmulator()
})
afterAll(async () => {
  await emulator?.stop()
  vi.unstubAllEnvs()
})

describeQueueDriver(
  'SQS',
  ({ clock, leaseMs }) => makeSqsProvider({ url: emulator.url, clock, logger: silentLogger, leaseMs }),
  {
    network: true,
    uncountedNack: false,
    reportsLostLease: false,
    redeliveryMsMax: 1_500,
    cutConnections: () => emulator.cutConnections(),
    throttle: (calls) => emulator.throttle(calls),
  },
)

// Another reading of SQS, when there is one: moto, ElasticMQ, or SQS itself, as its QUEUE_URL.
const { FOREBAY_TEST_SQS_URL: url } = process.env
if (url) {
  describeQueueDriver(
    `SQS at ${url}`,
    ({ clock, leaseMs }) => makeSqsProvider({ url, clock, logger: silentLogger, leaseMs }),
    { network: true, uncountedNack: false, reportsLostLease: false, redeliveryMsMax: 3_000 },
  )
}
