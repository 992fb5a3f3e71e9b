import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { makeMemoryProvider } from '@forebay/queue-memory'
import { cloudQueueUrls, parseQueueUrl, type QueueProvider, type QueueUrlForm } from '@forebay/queue-port'

interface OpenOptions {
  url: string
  clock: Clock
  logger: Logger
  /** How long a received job stays held without a heartbeat; the same in every process. */
  leaseMs: number
  /** Keeps the lanes on which a client waits in this process: right where no other process could answer. */
  liveInProcess?: boolean
}

const openBullmq = async (options: OpenOptions) => (await import('@forebay/queue-bullmq')).makeBullmqProvider(options)

/** Lanes on which a client waits are streams; all others are BullMQ's. */
async function openOnRedis(options: OpenOptions): Promise<QueueProvider> {
  const bullmq = await openBullmq(options)
  const { makeRedisStreamsProvider } = await import('@forebay/queue-redis-streams')
  const streams = await makeRedisStreamsProvider(options).catch(async (err: unknown) => {
    await bullmq.close()
    throw err
  })
  return twoProviders({ live: streams, others: bullmq })
}

function twoProviders({ live, others }: { live: QueueProvider; others: QueueProvider }): QueueProvider {
  return {
    queue: (name) => (name.endsWith('.realtime') ? live : others).queue(name),
    async close() {
      await Promise.all([live.close(), others.close()])
    },
  }
}

/** The SDKs are loaded when asked for: a process needs one of them at most. */
const openers: Readonly<Record<string, (options: OpenOptions) => Promise<QueueProvider>>> = {
  'memory:': async ({ clock }) => makeMemoryProvider({ clock }),
  'redis:': openOnRedis,
  'rediss:': openOnRedis,
  'postgres:': openBullmq,
  'postgresql:': openBullmq,
  'sqs:': async (options) => (await import('@forebay/queue-sqs')).makeSqsProvider(options),
  'pubsub:': async (options) => (await import('@forebay/queue-pubsub')).makePubsubProvider(options),
  'servicebus:': async (options) => (await import('@forebay/queue-servicebus')).makeServicebusProvider(options),
}

/** What a queue URL may start with. */
const queueSchemes: readonly string[] = Object.keys(openers)

/** Opens the queues the URL names: its scheme alone picks the broker. Rejects with `config_invalid` for another one. */
export async function openQueues(options: OpenOptions): Promise<QueueProvider> {
  const open = openers[schemeOf(options.url)]
  if (!open) throw noScheme(options.url)
  const others = await open(options)
  return options.liveInProcess ? twoProviders({ live: makeMemoryProvider(options), others }) : others
}

/**
 * Throws `config_invalid` for a URL that no driver would take, without loading or reaching one: another scheme, and for
 * a cloud's queues a missing region, a prefix that they do not allow, a parameter that there is not.
 */
export function checkQueueUrl(url: string): void {
  const scheme = schemeOf(url)
  if (!queueSchemes.includes(scheme)) throw noScheme(url)
  const forms: Readonly<Record<string, QueueUrlForm>> = cloudQueueUrls
  const form = forms[scheme.slice(0, -1)]
  if (form) parseQueueUrl(url, form)
  else if (!URL.canParse(url)) throw new ForebayError('config_invalid', 'The queue URL cannot be parsed.')
}

function schemeOf(url: string): string {
  return /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase() ?? ''
}

function noScheme(url: string): ForebayError {
  const supported = queueSchemes.join(', ')
  return new ForebayError(
    'config_invalid',
    `The queue URL must start with one of ${supported}; it starts with "${schemeOf(url) || '(no scheme)'}".`,
  )
}
