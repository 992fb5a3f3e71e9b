import type { Clock } from '@forebay/kernel'
import { checkQueueName, type DriverCapabilities, type QueueProvider } from '@forebay/queue-port'
import { MemoryQueue } from './driver.ts'

/** A provider whose queues can also be looked into. */
export interface MemoryProvider extends QueueProvider {
  queue(name: string): MemoryQueue
}

/** Queues in this process's memory. `capabilities` narrows what they claim, to test the core as on a poorer broker. */
export function makeMemoryProvider(options: {
  clock: Clock
  capabilities?: Partial<DriverCapabilities>
}): MemoryProvider {
  const queues = new Map<string, MemoryQueue>()
  return {
    queue(name) {
      const queue = queues.get(name) ?? new MemoryQueue({ name: checkQueueName(name), ...options })
      queues.set(name, queue)
      return queue
    },
    async close() {
      for (const queue of queues.values()) await queue.close()
    },
  }
}
