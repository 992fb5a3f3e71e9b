import type { Message } from 'rhea'
import rhea from 'rhea'
import type { Entry } from './queue.ts'

/** The message as a receiver sees it. */
export function wireForm(entry: Entry): Message {
  const { deliveries, enqueuedAt, lock, message, sequence } = entry
  const { types } = rhea
  return {
    ...message,
    delivery_count: Math.max(0, deliveries - 1),
    message_annotations: {
      ...message.message_annotations,
      'x-opt-sequence-number': types.wrap_long(sequence),
      'x-opt-enqueued-time': types.wrap_timestamp(enqueuedAt),
      ...(lock ? { 'x-opt-locked-until': types.wrap_timestamp(lock.until) } : {}),
    },
  }
}
