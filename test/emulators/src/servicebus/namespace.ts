import type { Clock } from '@forebay/kernel'
import { BrokerQueue, type QueueSettings } from './queue.ts'

const deadSuffix = '/$deadletterqueue'

/** The queues of one namespace, each with its dead-letter queue, by the addresses that AMQP links name. */
export class Namespace {
  readonly #clock: Clock
  readonly #queues = new Map<string, BrokerQueue>()
  /** Called with the address of a queue that may have messages to deliver. */
  onReady: (address: string) => void = () => undefined

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock
  }

  create(settings: QueueSettings): void {
    const [address, deadAddress] = [addressOf(settings.name), addressOf(settings.name + deadSuffix)]
    const dead = new BrokerQueue({
      settings: { ...settings, maxDeliveryCount: Number.POSITIVE_INFINITY },
      clock: this.#clock,
      onReady: () => this.onReady(deadAddress),
      onDead: () => undefined,
    })
    const live = new BrokerQueue({
      settings,
      clock: this.#clock,
      onReady: () => this.onReady(address),
      onDead: (message) => dead.add(message),
    })
    this.#queues.set(deadAddress, dead).set(address, live)
  }

  find(address: string): BrokerQueue | undefined {
    return this.#queues.get(addressOf(address))
  }

  findDead(name: string): BrokerQueue | undefined {
    return this.find(name + deadSuffix)
  }

  stop(): void {
    for (const queue of this.#queues.values()) queue.stop()
  }
}

/** The form in which addresses are compared: names are case-insensitive, and may come as URLs. */
export function addressOf(text: string): string {
  return text.replace(/^(sb|amqps?):\/\/[^/]*\//, '').toLowerCase()
}
