import type { QueueDriver, QueueProvider } from './queue-driver.ts'
import { checkQueueName } from './queue-name.ts'

/** A provider that makes each queue's driver once, and closes the drivers before the connections, once. */
export function makeQueueProvider(options: {
  make: (name: string) => QueueDriver
  closeConnections: () => Promise<void>
}): QueueProvider {
  const queues = new Map<string, QueueDriver>()
  let closing: Promise<void> | undefined
  const close = async () => {
    await Promise.all([...queues.values()].map((queue) => queue.close()))
    await options.closeConnections()
  }
  return {
    queue(name) {
      const queue = queues.get(name) ?? options.make(checkQueueName(name))
      queues.set(name, queue)
      return queue
    },
    close() {
      closing ??= close()
      return closing
    },
  }
}
