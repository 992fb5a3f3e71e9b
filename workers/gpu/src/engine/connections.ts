import { Client, Dispatcher, errors } from 'undici'

interface Waiting {
  readonly options: Dispatcher.DispatchOptions
  readonly handler: Dispatcher.DispatchHandler
}

/**
 * Keep-alive connections to one engine, each with one request at a time; `max` of them at most, beyond which requests
 * wait in their order. The connection that became free last is taken first: it is the least likely to have been closed
 * from the other side, and it is found without a look through all of them, which undici's Pool takes for each request.
 */
export class Connections extends Dispatcher {
  readonly #origin: string
  readonly #options: Client.Options
  readonly #max: number
  readonly #clients: Client[] = []
  readonly #free: Client[] = []
  readonly #waiting: Waiting[] = []
  #destroyed: Promise<void> | undefined

  constructor(options: { origin: string; max: number; client: Client.Options }) {
    super()
    this.#origin = options.origin
    this.#max = options.max
    this.#options = { ...options.client, pipelining: 1 }
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (this.#destroyed) throw new errors.ClientDestroyedError()
    const client = this.#free.pop() ?? this.#open()
    if (client) this.#send(client, options, handler)
    else this.#waiting.push({ options, handler })
    return client !== undefined
  }

  override destroy(): Promise<void> {
    this.#destroyed ??= this.#destroyAll()
    return this.#destroyed
  }

  async #destroyAll(): Promise<void> {
    const waiting = this.#waiting.splice(0)
    await Promise.all(this.#clients.map((client) => client.destroy()))
    // What waited hears from a connection that is gone that it is.
    for (const { handler, options } of waiting) this.#clients[0]?.dispatch(options, handler)
  }

  #open(): Client | undefined {
    if (this.#clients.length >= this.#max) return undefined
    const client = new Client(this.#origin, this.#options)
    client.on('drain', () => this.#serve(client))
    this.#clients.push(client)
    return client
  }

  #send(client: Client, options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    // It says nothing more of a request that it did not take.
    if (client.dispatch(options, handler) || client.stats.size === 0) this.#serve(client)
  }

  #serve(client: Client): void {
    const next = this.#waiting.shift()
    if (next) this.#send(client, next.options, next.handler)
    else this.#free.push(client)
  }
}
