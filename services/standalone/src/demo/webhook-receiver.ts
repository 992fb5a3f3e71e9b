import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock, Running } from '@forebay/kernel'
import { Webhook } from 'standardwebhooks'

export interface WebhookReceiver extends Running {
  url: string
  /** Set once the endpoint is registered: it signs with this secret. */
  expect(secret: string): void
  /** Resolves with the event of a type for an object once it came with a good signature; undefined after `timeoutMs`. */
  event(type: string, objectId: string, timeoutMs: number): Promise<unknown | undefined>
}

/** A local receiver of webhooks that believes only what the published Standard Webhooks library verifies. */
export async function startWebhookReceiver(options: { clock: Clock }): Promise<WebhookReceiver> {
  let secret = ''
  const verified: { type: string; data: { id: string } }[] = []
  const server = createServer(async (req, res) => {
    const pieces: Buffer[] = []
    for await (const piece of req) pieces.push(piece)
    try {
      const event = new Webhook(secret).verify(Buffer.concat(pieces).toString(), req.headers as Record<string, string>)
      verified.push(event as { type: string; data: { id: string } })
      res.writeHead(204).end()
    } catch {
      res.writeHead(401).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`,
    expect: (given) => {
      secret = given
    },
    event: async (type, objectId, timeoutMs) => {
      for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += 50) {
        const event = verified.find((one) => one.type === type && one.data.id === objectId)
        if (event) return event
        await options.clock.sleep(50)
      }
      return undefined
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
