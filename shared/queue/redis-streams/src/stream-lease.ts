import type { Lease } from '@forebay/queue-port'
import { contentOf, type EntryContent } from './entry.ts'

/** A leased entry of a stream, with what settles it. */
export class StreamLease implements Lease {
  readonly id: string
  readonly body: Uint8Array
  readonly attributes: Readonly<Record<string, string>>
  readonly attempt: number
  readonly enqueuedAt: number
  leaseUntil: number
  /** The stream's key. */
  readonly stream: string
  /** The stream's own id of the entry, new with each delivery but the first. */
  readonly entryId: string
  /** False once it was settled, or was found to be lost. */
  held = true

  constructor(options: { stream: string; entryId: string; content: EntryContent; leaseUntil: number }) {
    const { content, entryId, leaseUntil, stream } = options
    this.id = content.id
    this.body = content.body
    this.attributes = content.attributes
    this.attempt = content.used + 1
    this.enqueuedAt = content.sentAt
    this.leaseUntil = leaseUntil
    this.stream = stream
    this.entryId = entryId
  }
}

/** The entries in the answer (RESP3) to XREADGROUP of one stream; null is what it answers when there are none. */
export function leasesIn(answer: unknown, options: { stream: string; leaseUntil: number }): StreamLease[] {
  const [, entries = []] = (answer ?? []) as [key?: Buffer, entries?: [id: Buffer, fields: Buffer[] | null][]]
  const leases: StreamLease[] = []
  for (const [id, fields] of entries) {
    // None when it was deleted since it was added.
    if (fields) leases.push(new StreamLease({ ...options, entryId: id.toString(), content: contentOf(fields) }))
  }
  return leases
}
