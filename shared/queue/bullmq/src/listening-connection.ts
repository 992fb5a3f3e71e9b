import { PostgresConnection } from 'bullmq'

type ListenClient = Awaited<ReturnType<PostgresConnection['getListenClient']>>

/**
 * BullMQ's queues share one client to LISTEN on and all send their LISTEN at once. node-postgres runs one statement
 * at a time per client, warns of more, and will refuse them in its next major: here they queue up.
 */
export class ListeningConnection extends PostgresConnection {
  readonly #inOrder = new WeakSet<ListenClient>()

  override async getListenClient(): Promise<ListenClient> {
    const client = await super.getListenClient()
    if (this.#inOrder.has(client)) return client
    this.#inOrder.add(client)
    const query = client.query.bind(client)
    let last: Promise<unknown> = Promise.resolve()
    client.query = (...statement: Parameters<ListenClient['query']>) => {
      const result = last.then(() => query(...statement))
      last = result.catch(() => undefined)
      return result
    }
    return client
  }
}
