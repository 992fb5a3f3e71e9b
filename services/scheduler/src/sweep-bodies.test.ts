import { openFolderBlobs } from '@forebay/blobs'
import { ForebayError, ManualClock, silentLogger } from '@forebay/kernel'
import { singlePool } from '@forebay/pools'
import { bodiesIn, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { tempDir } from '@forebay/test-support'
import { expect, test } from 'vitest'
import { sweepBodies } from './sweep-bodies.ts'

const dayMs = 86_400_000

test.each([
  ['of no tenant', {}, /^queue\/2026-03-01\/body_/],
  ['of a tenant', { fairnessKey: 'acme' }, /^queue\/2026-03-01\/acme\/23\/body_/],
])(
  'a body that nobody came for goes after two days, and not before; a store that is away stops nothing (%s)',
  async (_, owner, shape) => {
    const clock = new ManualClock(Date.parse('2026-03-01T23:59:00Z'))
    const blobs = openFolderBlobs({ root: tempDir() })
    const queues = makeMemoryProvider({ clock, capabilities: { bodyBytesMax: 1 } })
    const pools = singlePool({ name: 'default', queues, blobs, clock, logger: silentLogger })
    const driver = queues.queue('default.realtime')
    const codec = makeJsonCodec({ parse: (value: unknown) => value })
    await makeJobSender({ driver, codec, bodies: bodiesIn(blobs), clock }).send([
      { id: 'lost', job: 'x'.repeat(10), ...owner },
    ])
    const [lease] = await driver.receive({ max: 1, waitMs: 0, leaseMs: 1_000 })
    const key = `queue/${lease?.attributes['fb-body']}`
    expect(key).toMatch(shape)
    expect(await blobs.size(key)).toBe(12)
    const away = new Proxy(blobs, {
      get: (target, name) =>
        name === 'deletePrefix'
          ? async () => Promise.reject(new ForebayError('unavailable', 'away'))
          : Reflect.get(target, name),
    })
    for (const [days, size] of [
      [1, 12],
      [2, undefined],
    ] as const) {
      const nowMs = clock.now() + days * dayMs
      await sweepBodies({ blobs: away, pools, logger: silentLogger, nowMs })
      await sweepBodies({ blobs, pools, logger: silentLogger, nowMs })
      expect(await blobs.size(key)).toBe(size)
    }
  },
)
