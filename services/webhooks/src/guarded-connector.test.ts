import type { LookupFunction } from 'node:net'
import { makeAddressPolicy } from '@forebay/address-policy'
import { systemClock } from '@forebay/kernel'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSender } from './sender.ts'
import { secret, startReceiver } from './testing/bench.ts'

/** A name server of the test's own: each name with its addresses. */
const names: Record<string, string[]> = {
  'private.test': ['127.0.0.1'],
  'half-private.test': ['8.8.8.8', '127.0.0.1'],
  'mapped.test': ['::ffff:127.0.0.1'],
  'metadata.test': ['169.254.169.254'],
}
const lookup: LookupFunction = (host, options, callback) => {
  const found = (names[host] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  setImmediate(() => callback(null, options.all ? found : (found[0]?.address ?? '')))
}

describe('makeGuardedConnector', () => {
  let hook: Awaited<ReturnType<typeof startReceiver>>
  beforeAll(async () => {
    hook = await startReceiver()
  })
  afterAll(() => hook.stop())

  const send = async (url: string, allow: string[] = []) => {
    const sender = makeSender({ clock: systemClock, policy: makeAddressPolicy(allow), timeoutMs: 5_000, lookup })
    const delivery = { eventId: 'evt_1', endpointId: 'we_1', attempt: 1, type: 'batch.completed', data: {} }
    try {
      return await sender.send({ ...delivery, createdAt: new Date(), url, secret }, new AbortController().signal)
    } finally {
      await sender.stop()
    }
  }

  it.each([
    '127.0.0.1',
    '2130706433',
    '0x7f.1',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    'private.test',
    'half-private.test',
    'mapped.test',
    'metadata.test',
    'unknown.test',
  ])('never connects to %s, with TLS or without', async (host) => {
    for (const scheme of ['http', 'https']) {
      expect(await send(`${scheme}://${host}:${hook.port}/`)).toMatchObject({
        status: null,
        error: expect.stringMatching(/^Not sent: /),
      })
    }
    expect(hook.connections()).toBe(0)
  })

  it('does not tell an address in what it reports', async () => {
    expect((await send(`https://private.test:${hook.port}/`)).error).toBe(
      'Not sent: the host is not on the public internet.',
    )
  })

  it('reports a URL that is none', async () => {
    expect(await send('nonsense')).toEqual({ status: null, error: 'the URL is not valid' })
  })

  it('connects to an allowed name and an allowed range', async () => {
    expect(await send(`http://private.test:${hook.port}/`, ['private.test'])).toMatchObject({ status: 204 })
    expect(await send(`http://private.test:${hook.port}/`, ['127.0.0.0/8'])).toMatchObject({ status: 204 })
    expect(await send(`http://2130706433:${hook.port}/`, ['127.0.0.1'])).toMatchObject({ status: 204 })
  })
})
