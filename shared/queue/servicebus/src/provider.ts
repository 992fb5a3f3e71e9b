import { DefaultAzureCredential } from '@azure/identity'
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus'
import { type Clock, ForebayError, type Logger } from '@forebay/kernel'
import { cloudQueueUrls, makeQueueProvider, parseQueueUrl, type QueueProvider } from '@forebay/queue-port'
import { ServicebusQueue } from './driver.ts'

const form = cloudQueueUrls.servicebus
/** The SDK does not notice that a send went down with its connection: only this timeout ends the wait for its answer. */
const retryOptions = { maxRetries: 3, retryDelayInMs: 200, maxRetryDelayInMs: 2_000, timeoutInMs: 4_000 }

/**
 * Queues on Azure Service Bus: `servicebus://<namespace>/<prefix>`, the namespace by its name or its full host name.
 * An emulator is named by `?endpoint=sb://host:port`, and `&admin=http://host:port` for its management (default
 * port 5300). Credentials come from Azure's usual chain. Rejects with `config_invalid` for another URL; the broker is
 * first spoken to by a queue's own methods.
 */
export async function makeServicebusProvider(options: {
  url: string
  clock: Clock
  logger: Logger
  leaseMs: number
}): Promise<QueueProvider> {
  const { clock, leaseMs, url } = options
  const { host, params, prefix } = parseQueueUrl(url, form)
  const endpoint = params.get('endpoint')
  const { admin, client } = endpoint ? openEmulator(endpoint, params.get('admin')) : openNamespace(host)
  return makeQueueProvider({
    make: (name) => new ServicebusQueue({ name, entity: entityOf(prefix, name), client, admin, clock, leaseMs }),
    closeConnections: () => client.close(),
  })
}

function openNamespace(host: string) {
  const namespace = host.includes('.') ? host : `${host}.servicebus.windows.net`
  const credential = new DefaultAzureCredential()
  return {
    client: new ServiceBusClient(namespace, credential, { retryOptions }),
    admin: new ServiceBusAdministrationClient(namespace, credential),
  }
}

function openEmulator(endpoint: string, adminUrl: string | null) {
  // Keys that every emulator takes; the SDK wants some.
  const keys = 'SharedAccessKeyName=emulator;SharedAccessKey=emulator;UseDevelopmentEmulator=true'
  const { protocol, hostname } = new URL(endpoint)
  if (protocol !== 'sb:') {
    throw new ForebayError(
      'config_invalid',
      `The queue URL's endpoint must start with sb://, as in ${form.example}?endpoint=sb://localhost.`,
    )
  }
  const adminAt = new URL(adminUrl ?? `http://${hostname}:5300`)
  const admin = new ServiceBusAdministrationClient(`Endpoint=sb://${adminAt.host};${keys}`)
  // The SDK's management speaks only https, also to an emulator.
  admin.pipeline.addPolicy(
    {
      name: 'plainHttpForEmulator',
      sendRequest(request, next) {
        request.url = request.url.replace(/^https:\/\/[^/]*/, adminAt.origin)
        request.allowInsecureConnection = true
        return next(request)
      },
    },
    { afterPhase: 'Sign' },
  )
  return { client: new ServiceBusClient(`Endpoint=${endpoint};${keys}`, { retryOptions }), admin }
}

/** Service Bus allows what queue names allow, but for their last character. Throws `queue_invalid`. */
function entityOf(prefix: string, name: string): string {
  if (/[A-Za-z0-9]$/.test(name)) return `${prefix}.${name}`
  throw new ForebayError('queue_invalid', `Queue name "${name}" must end in a letter or digit on Service Bus.`)
}
