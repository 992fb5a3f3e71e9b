import type { RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Namespace } from './namespace.ts'
import type { QueueSettings } from './queue.ts'

/** Service Bus's management over HTTP, in Atom: queues are created, described and deleted. `refuse` answers a status. */
export function adminListener(namespace: Namespace, refuse: (method: string) => number | undefined): RequestListener {
  return async (req, res) => {
    const name = decodeURIComponent(new URL(req.url ?? '/', 'http://localhost').pathname.slice(1))
    const answer = (status: number, body: string) => {
      res.writeHead(status, { 'content-type': 'application/atom+xml' }).end(body)
    }
    const body = await text(req)
    const refused = refuse(req.method ?? '')
    if (refused) return answer(refused, errorBody(refused, 'refused'))
    const found = namespace.find(name)
    if (req.method === 'PUT' && found) return answer(409, errorBody(409, `SubCode=40900. ${name} already exists`))
    if (req.method === 'PUT') {
      const settings = settingsOf(name, body)
      // As documented: from five seconds to five minutes; the lower bound is left out for the sake of quick tests.
      if (settings.lockMs > 300_000) return answer(400, errorBody(400, 'LockDuration is out of range'))
      namespace.create(settings)
      return answer(201, description(namespace, settings))
    }
    if (req.method !== 'GET') return answer(405, errorBody(405, 'not supported by this emulator'))
    if (!found) return answer(404, errorBody(404, `${name} was not found`))
    return answer(200, description(namespace, found.settings))
  }
}

function settingsOf(name: string, xml: string): QueueSettings {
  const field = (tag: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1]
  return {
    name,
    lockMs: durationMs(field('LockDuration') ?? 'PT1M'),
    maxDeliveryCount: Number(field('MaxDeliveryCount') ?? 10),
    requiresDuplicateDetection: field('RequiresDuplicateDetection') === 'true',
    requiresSession: field('RequiresSession') === 'true',
  }
}

function durationMs(iso: string): number {
  const [, hours = 0, minutes = 0, seconds = 0] = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(iso) ?? []
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000
}

function description(namespace: Namespace, settings: QueueSettings): string {
  const { active = 0, scheduled = 0 } = namespace.find(settings.name)?.counts() ?? {}
  const { active: dead = 0 } = namespace.findDead(settings.name)?.counts() ?? {}
  const at = new Date().toISOString()
  const fields = {
    LockDuration: `PT${settings.lockMs / 1_000}S`,
    MaxSizeInMegabytes: 1_024,
    RequiresDuplicateDetection: settings.requiresDuplicateDetection,
    RequiresSession: settings.requiresSession,
    DefaultMessageTimeToLive: 'P10675199DT2H48M5.4775807S',
    DeadLetteringOnMessageExpiration: false,
    DuplicateDetectionHistoryTimeWindow: 'PT10M',
    MaxDeliveryCount: settings.maxDeliveryCount,
    EnableBatchedOperations: true,
    SizeInBytes: 0,
    MessageCount: active + scheduled + dead,
    Status: 'Active',
    CreatedAt: at,
    UpdatedAt: at,
    AccessedAt: at,
    EnablePartitioning: false,
    EntityAvailabilityStatus: 'Available',
    EnableExpress: false,
  }
  const counts = { ActiveMessageCount: active, DeadLetterMessageCount: dead, ScheduledMessageCount: scheduled }
  const xml = (of: object, prefix = '') =>
    Object.entries(of)
      .map(([tag, value]) => `<${prefix}${tag}>${value}</${prefix}${tag}>`)
      .join('')
  return `<entry xmlns="http://www.w3.org/2005/Atom"><id>https://localhost/${settings.name}?api-version=2021-05</id><title type="text">${settings.name}</title><content type="application/xml"><QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">${xml(fields)}<CountDetails xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus">${xml(counts, 'd2p1:')}</CountDetails></QueueDescription></content></entry>`
}

function errorBody(code: number, detail: string): string {
  return `<Error><Code>${code}</Code><Detail>${detail}</Detail></Error>`
}
