import { buildApp } from 'fauxqs'
import type { Emulator } from './emulator.ts'
import { trackSockets } from './sockets.ts'

/** An SQS emulator that can also refuse calls. */
export interface SqsEmulator extends Emulator {
  readonly endpoint: string
  /** From now on refuses these actions, such as `CreateQueue`, as a policy without them would. */
  deny(actions: readonly string[]): void
}

/**
 * Starts fauxqs, somebody else's reading of the SQS protocol, on a port of its own. It knows no clock but the
 * machine's. Credentials are not checked, but the SDK wants some.
 */
export async function startSqsEmulator(): Promise<SqsEmulator> {
  const app = buildApp({ logger: false })
  const cut = trackSockets(app.server)
  let throttled = 0
  let denied: readonly string[] = []
  app.addHook('onRequest', async (request, reply) => {
    const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '')
    const refuse = (type: string, message: string) =>
      reply
        .status(400)
        .header('content-type', 'application/x-amz-json-1.0')
        .send({ __type: `com.amazonaws.sqs#${type}`, message })
    if (denied.includes(action)) return refuse('AccessDeniedException', `not authorized to perform: sqs:${action}`)
    if (throttled === 0) return undefined
    throttled--
    return refuse('RequestThrottled', 'Rate exceeded')
  })
  const endpoint = await app.listen({ host: '127.0.0.1', port: 0 })
  let stopping: Promise<unknown> | undefined
  return {
    endpoint,
    url: `sqs://us-east-1/forebay?endpoint=${endpoint}`,
    cutConnections: async () => cut(),
    throttle(calls) {
      throttled = calls
    },
    deny(actions) {
      denied = actions
    },
    async stop() {
      stopping ??= Promise.resolve(app.close())
      await stopping
    },
  }
}
