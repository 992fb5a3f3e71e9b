import { silentLogger } from '@forebay/kernel'
import { describeQueueDriver } from '@forebay/queue-conformance'
import { type TestDatabase, testDatabase } from '@forebay/test-support'
import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { makeBullmqProvider } from './provider.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await testDatabase({ migrated: false })
})
afterAll(() => database?.drop())

describeQueueDriver(
  'bullmq on Postgres',
  ({ clock, leaseMs }) => makeBullmqProvider({ url: database.url, clock, logger: silentLogger, leaseMs }),
  {
    network: true,
    uncountedNack: true,
    reportsLostLease: true,
    redeliveryMsMax: 4_000,
    refusesWrongClock: true,
    async cutConnections() {
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      await client.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      )
      await client.end()
    },
  },
)
