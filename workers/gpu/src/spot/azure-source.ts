import type { Clock } from '@forebay/kernel'
import { field } from '../engine/outcome.ts'
import { type MetadataClient, unexpected } from './metadata-client.ts'
import type { SpotSource } from './notice.ts'

/** Where every Azure VM finds it. */
export const azureMetadataUrl = 'http://169.254.169.254'

const eventsPath = '/metadata/scheduledevents?api-version=2020-07-01'
const namePath = '/metadata/instance/compute/name?api-version=2021-02-01&format=text'
const headers = { metadata: 'true' }
// The least that is given; an event without a time may begin at any moment after it.
const noticeMs = 30_000
// The first question turns the service on for this VM.
const firstTimeoutMs = 130_000

interface Preemption {
  id: string
  /** The VMs it is for. */
  names: string[]
  byMs: number
}

/** Azure: scheduled events of type `Preempt` that name this VM. */
export function makeAzureSource(options: { client: Pick<MetadataClient, 'ask'>; clock: Clock }): SpotSource {
  const { client, clock } = options
  let ownName: string | undefined
  let asked = false
  let found: Preemption | undefined

  /** A VM is told of the events of its whole scale set. One that does not know its name takes them for its own. */
  async function isOwn(preemption: Preemption, signal: AbortSignal): Promise<boolean> {
    if (ownName === undefined) {
      const reply = await client.ask({ path: namePath, headers }, signal).catch(() => undefined)
      if (reply?.status === 200) ownName = reply.text.trim()
    }
    return ownName === undefined || preemption.names.includes(ownName)
  }

  return {
    cloud: 'azure',
    pollMs: 1_000,
    async look(signal) {
      const reply = await client.ask({ path: eventsPath, headers, timeoutMs: asked ? 5_000 : firstTimeoutMs }, signal)
      if (reply.status !== 200) throw unexpected(eventsPath, reply)
      asked = true
      for (const preemption of preemptionsIn(JSON.parse(reply.text), clock.now())) {
        if (!(await isOwn(preemption, signal))) continue
        // Told again at each look; its time is that of the first, where none was given.
        if (found?.id !== preemption.id) found = preemption
        return { kind: 'end', cloud: 'azure', what: 'Preempt', byMs: found.byMs }
      }
      return undefined
    },
    async acknowledge(signal) {
      // Another VM's end must not be hastened.
      if (!found || ownName === undefined) return
      const body = JSON.stringify({ StartRequests: [{ EventId: found.id }] })
      const reply = await client.ask({ method: 'POST', path: eventsPath, headers, body }, signal)
      if (reply.status >= 300) throw unexpected(eventsPath, reply)
    },
  }
}

function preemptionsIn(document: unknown, nowMs: number): Preemption[] {
  const events = field(document, 'Events')
  if (!Array.isArray(events)) return []
  return events.flatMap((event: unknown) => {
    const id = field(event, 'EventId')
    if (field(event, 'EventType') !== 'Preempt' || typeof id !== 'string') return []
    const names = field(event, 'Resources')
    const notBeforeMs = Date.parse(String(field(event, 'NotBefore')))
    return [
      {
        id,
        names: Array.isArray(names) ? names.map(String) : [],
        byMs: Number.isNaN(notBeforeMs) ? nowMs + noticeMs : notBeforeMs,
      },
    ]
  })
}
