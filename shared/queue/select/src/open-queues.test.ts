import { startPubsubEmulator, startServicebusEmulator, startSqsEmulator } from '@forebay/emulators'
import { silentLogger, systemClock } from '@forebay/kernel'
import { freePort, redisUrl, testDatabase } from '@forebay/test-support'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openQueues } from './open-queues.ts'

const open = (url: string) => openQueues({ url, clock: systemClock, logger: silentLogger, leaseMs: 5_000 })

describe('openQueues', () => {
  it('picks the broker by the scheme of the URL', async () => {
    const database = await testDatabase({ migrated: false })
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
    const emulators = [await startSqsEmulator(), await startPubsubEmulator(), await startServicebusEmulator()]
    onTestFinished(async () => {
      vi.unstubAllEnvs()
      await Promise.all(emulators.map((emulator) => emulator.stop()))
    })
    const clouds = emulators.map(({ url }) => url)
    for (const url of ['memory:', `${redisUrl()}/3`, `${database.url}?schema=own_queues`, ...clouds]) {
      const provider = await open(url)
      const queue = provider.queue('select.batch')
      await queue.ensure()
      await queue.send([{ id: 'a', body: new TextEncoder().encode('{}') }])
      const [lease] = await queue.receive({ max: 1, waitMs: 5_000, leaseMs: 5_000 })
      expect(lease?.id).toBe('a')
      await queue.ack(lease ? [lease] : [])
      await provider.close()
    }
    await database.drop()
  })

  it('keeps the lanes on which a client waits in the process when told to, and no other', async () => {
    const database = await testDatabase({ migrated: false })
    onTestFinished(() => database.drop())
    const url = `${database.url}?schema=lanes`
    const common = { url, clock: systemClock, logger: silentLogger, leaseMs: 5_000 }
    const here = await openQueues({ ...common, liveInProcess: true })
    const elsewhere = await openQueues(common)
    onTestFinished(async () => void (await Promise.all([here.close(), elsewhere.close()])))
    for (const [lane, seen] of [
      ['realtime', 0],
      ['standard', 1],
    ] as const) {
      for (const provider of [here, elsewhere]) await provider.queue(`lanes.${lane}`).ensure()
      await here.queue(`lanes.${lane}`).send([{ id: 'a', body: new TextEncoder().encode('{}') }])
      expect(await here.queue(`lanes.${lane}`).depth()).toMatchObject({ visible: 1 })
      expect(await elsewhere.queue(`lanes.${lane}`).depth()).toMatchObject({ visible: seen })
    }
  })

  it.each(['amqp://localhost', 'redis', ''])('refuses "%s" and lists what it supports', async (url) => {
    await expect(open(url)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/memory:, redis:, rediss:, postgres:, postgresql:, sqs:, pubsub:, servicebus:/),
    })
  })

  it('says which server cannot be reached, without its password', async () => {
    const port = await freePort()
    for (const scheme of ['redis', 'postgres']) {
      const error: unknown = await open(`${scheme}://user:hunter2@127.0.0.1:${port}/1`).catch((err: unknown) => err)
      expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(`127.0.0.1:${port}`) })
      expect(String(error)).not.toContain('hunter2')
    }
  })
})
