import { silentLogger } from '@forebay/kernel'
import { describeQueueDriver } from '@forebay/queue-conformance'
import { startRedis, type TestRedis } from '@forebay/test-support'
import { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { makeRedisStreamsProvider } from './provider.ts'

// A server of its own: the suite cuts every connection.
let server: TestRedis

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server?.stop())

describeQueueDriver(
  'redis streams',
  ({ clock, leaseMs }) => makeRedisStreamsProvider({ url: server.url, clock, logger: silentLogger, leaseMs }),
  {
    network: true,
    uncountedNack: true,
    reportsLostLease: true,
    redeliveryMsMax: 4_000,
    async cutConnections() {
      const redis = new Redis(server.url)
      await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      redis.disconnect()
    },
  },
)
