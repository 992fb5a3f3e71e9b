import { silentLogger, systemClock } from '@forebay/kernel'
import type { IQueueBackend } from 'bullmq'
import { expect, it } from 'vitest'
import type { Broker } from './broker.ts'
import { JobWaiter } from './job-waiter.ts'

it('closes within seconds although its connection never opened, so that a dead broker keeps no process from stopping', async () => {
  const never = new Promise<number>(() => {})
  const backend = { minimumBlockTimeout: 0.001, waitForJob: () => never } as unknown as IQueueBackend
  const broker = { waiter: () => backend, closeWaiter: async () => {} } as unknown as Broker
  const waiter = new JobWaiter({ broker, clock: systemClock, logger: silentLogger, queue: 'q', operations: backend })
  const waiting = waiter.wait(60_000, undefined)
  const startMs = performance.now()
  await waiter.close()
  await waiting
  expect(performance.now() - startMs).toBeLessThan(5_000)
})
