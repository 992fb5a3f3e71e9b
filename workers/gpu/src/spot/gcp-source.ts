import type { Clock } from '@forebay/kernel'
import { type MetadataClient, unexpected } from './metadata-client.ts'
import type { SpotSource } from './notice.ts'

/** Where every Compute Engine instance finds it. */
export const gcpMetadataUrl = 'http://metadata.google.internal'

const path = '/computeMetadata/v1/instance/preempted'
const headers = { 'metadata-flavor': 'Google' }
// Said in the same moment as the machine is told to shut down.
const noticeMs = 30_000
// The service holds a question so long; then it is asked anew, since a dead connection says nothing.
const waitS = 60

/** Compute Engine: `preempted`, whose change the metadata service tells as it happens. */
export function makeGcpSource(options: { client: Pick<MetadataClient, 'ask'>; clock: Clock }): SpotSource {
  const { client, clock } = options
  let etag: string | undefined
  return {
    cloud: 'gcp',
    pollMs: 1_000,
    async look(signal) {
      // Waiting is for a change from the value last seen: without one seen, a change that was before it is missed.
      const wait =
        etag === undefined ? '' : `?wait_for_change=true&timeout_sec=${waitS}&last_etag=${encodeURIComponent(etag)}`
      const timeoutMs = (waitS + 10) * 1000
      const reply = await client.ask({ path: path + wait, headers, timeoutMs }, signal)
      if (reply.status !== 200) throw unexpected(path, reply)
      etag = typeof reply.headers['etag'] === 'string' ? reply.headers['etag'] : undefined
      if (reply.text.trim().toUpperCase() !== 'TRUE') return undefined
      return { kind: 'end', cloud: 'gcp', what: 'preempted', byMs: clock.now() + noticeMs }
    },
    acknowledge: async () => {},
  }
}
