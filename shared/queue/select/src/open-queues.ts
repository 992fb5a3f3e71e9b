import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { makeMemoryProvider } from '@forebay/queue-memory'
import type { QueueProvider } from '@forebay/queue-port'

interface OpenOptions {
  url: string
  clock: Clock
  logger: Logger
  /** How long a received job stays held without a heartbeat; the same in every process. */
  leaseMs: number
}

const openBullmq = async (options: OpenOptions) => (await import('@forebay/queue-bullmq')).makeBullmqProvider(options)

/** The SDKs are loaded when asked for: a process needs one of them at most. */
const openers: Readonly<Record<string, (options: OpenOptions) => Promise<QueueProvider>>> = {
  'memory:': async ({ clock }) => makeMemoryProvider({ clock }),
  'redis:': openBullmq,
  'rediss:': openBullmq,
  'postgres:': openBullmq,
  'postgresql:': openBullmq,
  'sqs:': async (options) => (await import('@forebay/queue-sqs')).makeSqsProvider(options),
  'pubsub:': async (options) => (await import('@forebay/queue-pubsub')).makePubsubProvider(options),
  'servicebus:': async (options) => (await import('@forebay/queue-servicebus')).makeServicebusProvider(options),
}

/** What a queue URL may start with. */
export const queueSchemes: readonly string[] = Object.keys(openers)

/** Opens the queues the URL names: its scheme alone picks the broker. Rejects with `config_invalid` for another one. */
export async function openQueues(options: OpenOptions): Promise<QueueProvider> {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(options.url)?.[0].toLowerCase() ?? ''
  const open = openers[scheme]
  if (open) return open(options)
  const supported = queueSchemes.join(', ')
  throw new ForebayError(
    'config_invalid',
    `The queue URL must start with one of ${supported}; it starts with "${scheme || '(no scheme)'}".`,
  )
}
