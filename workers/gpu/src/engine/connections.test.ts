import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { CallAbort } from './call-abort.ts'
import { Connections } from './connections.ts'
import { askWhole, headerOf } from './whole-answer.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A server that holds what it is asked until told, and connections to it. */
async function setUp(max: number) {
  const asked: { path: string; port: number | undefined; res: ServerResponse }[] = []
  const server = createServer((req, res) => {
    asked.push({ path: req.url ?? '', port: req.socket.remotePort, res })
    req.resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const connections = new Connections({ origin, max, client: {} })
  cleanups.push(
    () => server.close(),
    () => server.closeAllConnections(),
    () => connections.destroy(),
  )
  const ask = (path: string, options: { signal?: CallAbort; headers?: string[] } = {}) =>
    askWhole(
      connections,
      { method: 'POST', path, headers: options.headers ?? [], body: Buffer.from('{}') },
      options.signal ?? new CallAbort(),
    )
  const toHaveAsked = (count: number) =>
    eventually(async () => asked.length >= count, { what: `${count} requests at the server` })
  return { ask, asked, connections, toHaveAsked }
}

describe('connections', () => {
  it('opens no more than allowed: what is beyond waits in its order, and gets the connection that becomes free', async () => {
    const { ask, asked, toHaveAsked } = await setUp(2)
    const answers = ['/1', '/2', '/3', '/4'].map((path) => ask(path))
    await toHaveAsked(2)
    expect(asked.map(({ path }) => path).sort()).toEqual(['/1', '/2'])
    asked[0]?.res.end('first')
    await toHaveAsked(3)
    asked[1]?.res.end('second')
    await toHaveAsked(4)
    expect(asked.slice(2).map(({ path }) => path)).toEqual(['/3', '/4'])
    for (const { res } of asked.slice(2)) res.end('later')
    const bodies = (await Promise.all(answers)).map(({ body }) => body.toString())
    expect(bodies.slice(2)).toEqual(['later', 'later'])
    expect(new Set(asked.map(({ port }) => port)).size).toBe(2)
  })

  it('uses a connection again after requests that were cut, refused by the client itself, or broken by the server', async () => {
    const { ask, asked, toHaveAsked } = await setUp(1)
    const signal = new CallAbort()
    const cut = ask('/cut', { signal })
    await toHaveAsked(1)
    signal.abort('enough')
    await expect(cut).rejects.toBe('enough')
    await expect(ask('/odd', { headers: ['x-odd', 'line\nbreak'] })).rejects.toThrow('x-odd')
    const broken = ask('/broken')
    await toHaveAsked(2)
    asked[1]?.res.destroy()
    await expect(broken).rejects.toThrow('closed')
    const well = ask('/well')
    await toHaveAsked(3)
    asked[2]?.res.writeHead(201, { 'X-Told': 'yes' }).write('in ')
    asked[2]?.res.end('pieces')
    const { body, headers, statusCode } = await well
    expect([statusCode, body.toString(), headerOf(headers, 'x-told'), headerOf(headers, 'x-none')]).toEqual([
      ...[201, 'in pieces', 'yes', ''],
    ])
  })

  it('tells all that run, wait or come later when it is destroyed', async () => {
    const { ask, connections, toHaveAsked } = await setUp(1)
    const heard = Promise.allSettled(['/runs', '/waits'].map((path) => ask(path)))
    await toHaveAsked(1)
    await connections.destroy()
    expect((await heard).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(ask('/late')).rejects.toThrow('destroyed')
  })
})
