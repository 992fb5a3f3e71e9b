import { ForebayError } from '@forebay/kernel'
import { GoogleAuth } from 'google-auth-library'

/** How far back a sample of Cloud Monitoring's, taken once a minute, is looked for. */
const lookBackMs = 10 * 60_000
const timeoutMs = 10_000

/** How many messages of a subscription are not acknowledged, leased ones included, and when that was counted. */
export interface Undelivered {
  readonly count: number
  readonly asOf: number
}

/** Asks for the newest sample per subscription name; one without a sample counts 0. */
export type ReadUndelivered = (subscriptions: readonly string[], now: number) => Promise<readonly Undelivered[]>

interface TimeSeries {
  readonly resource?: { readonly labels?: { readonly subscription_id?: string } }
  readonly points?: readonly {
    readonly interval?: { readonly endTime?: string }
    readonly value?: { readonly int64Value?: string }
  }[]
}

/** Reads the depth where Google tells it, Cloud Monitoring; an `endpoint` other than Google's is asked without credentials. */
export function makeReadUndelivered(options: { project: string; endpoint?: string }): ReadUndelivered {
  const auth = new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/monitoring.read'] })
  const base = options.endpoint ?? 'https://monitoring.googleapis.com'
  return async (subscriptions, now) => {
    const ids = subscriptions.map((name) => name.split('/').at(-1) ?? '')
    const url = new URL(`/v3/projects/${options.project}/timeSeries`, base)
    url.searchParams.set(
      'filter',
      `metric.type = "pubsub.googleapis.com/subscription/num_undelivered_messages" AND resource.labels.subscription_id = one_of(${ids.map((id) => JSON.stringify(id)).join(',')})`,
    )
    url.searchParams.set('interval.startTime', new Date(now - lookBackMs).toISOString())
    url.searchParams.set('interval.endTime', new Date(now).toISOString())
    const headers = options.endpoint ? {} : await auth.getRequestHeaders()
    const res = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) })
    if (!res.ok) throw refused(res.status)
    const { timeSeries = [] } = (await res.json()) as { timeSeries?: readonly TimeSeries[] }
    return ids.map((id) => {
      // Newest first, as the API orders points.
      const [point] = timeSeries.find((series) => series.resource?.labels?.subscription_id === id)?.points ?? []
      const at = Date.parse(point?.interval?.endTime ?? '')
      return { count: Number(point?.value?.int64Value ?? 0), asOf: Number.isNaN(at) ? now : at }
    })
  }
}

function refused(status: number): ForebayError {
  if (status === 401 || status === 403) {
    return new ForebayError(
      'queue_denied',
      'Cloud Monitoring refused to tell a queue’s depth: give the service account the role Monitoring Viewer.',
    )
  }
  if (status === 429)
    return new ForebayError('overloaded', 'Cloud Monitoring is throttling: ask for depths less often.')
  return new ForebayError('unavailable', `Cloud Monitoring answered ${status} when asked for a queue’s depth.`)
}
