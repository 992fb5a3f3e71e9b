import { ForebayError, silentLogger, systemClock } from '@forebay/kernel'
import { openQueues } from '@forebay/queue-select'
import { eventually, freePort, startRedis } from '@forebay/test-support'
import { expect, it, onTestFinished } from 'vitest'
import { untilReachable } from './until-reachable.ts'

const clock = systemClock

function noting() {
  const said: Record<string, unknown>[] = []
  const logger = { ...silentLogger, warn: (fields: object) => void said.push({ ...fields }) } as typeof silentLogger
  return { said, logger }
}

it('waits for a broker that is down, says which setting names it, and goes on when it is up', async () => {
  const port = await freePort()
  const { logger, said } = noting()
  const url = `redis://127.0.0.1:${port}`
  const open = () => openQueues({ url, clock, logger: silentLogger, leaseMs: 5_000 })
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const what = 'the broker of the pool eu'
  const opened = untilReachable({ open, what, setting: 'QUEUE_URL', clock, logger, signal: stop.signal })
  opened.catch(() => undefined)
  await eventually(() => said.length >= 2, { what: 'two tries' })
  expect(said[0]).toMatchObject({ what, setting: 'QUEUE_URL', tries: 1 })
  const redis = await startRedis({ port })
  onTestFinished(() => redis.stop())
  const queues = await opened
  await queues.queue('eu.batch').ensure()
  await queues.close()
})

it('does not wait for what waiting would not mend', async () => {
  const { logger, said } = noting()
  const open = () => Promise.reject(new ForebayError('config_invalid', 'wrong'))
  await expect(untilReachable({ open, what: 'x', setting: 'X', clock, logger })).rejects.toMatchObject({
    code: 'config_invalid',
  })
  expect(said).toEqual([])
})
