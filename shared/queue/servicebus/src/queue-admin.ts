import type { QueueProperties, ServiceBusAdministrationClient } from '@azure/service-bus'
import { ForebayError } from '@forebay/kernel'
import { codeOf, toQueueError } from './errors.ts'

/** A net under crash loops: the attempts a job has are counted above, where a dead letter loses its content. */
const deliveriesMax = 1_000
/** Service Bus's longest lock. */
const lockMsMax = 300_000

/** Creates a queue, or checks that one that is there will do. Needs the right to manage. */
export async function ensureQueue(
  admin: ServiceBusAdministrationClient,
  options: { name: string; leaseMs: number },
): Promise<void> {
  const { leaseMs, name } = options
  try {
    await admin.createQueue(name, {
      lockDuration: `PT${Math.min(leaseMs, lockMsMax) / 1_000}S`,
      maxDeliveryCount: deliveriesMax,
      deadLetteringOnMessageExpiration: true,
    })
  } catch (err) {
    if (!/AlreadyExists| 409$/.test(codeOf(err))) throw toQueueError(err, name)
    const found = await admin.getQueue(name).catch((missing: unknown) => {
      throw toQueueError(missing, name)
    })
    checkSettings(found, options)
  }
}

/** What a queue holds, as its namespace counts it: a locked message is an active one. */
export async function countQueue(admin: ServiceBusAdministrationClient, name: string) {
  const counts = await admin.getQueueRuntimeProperties(name)
  const { activeMessageCount: active, deadLetterMessageCount: dead, scheduledMessageCount: scheduled } = counts
  return { active, dead, scheduled }
}

function checkSettings(found: QueueProperties, options: { name: string; leaseMs: number }): void {
  const { leaseMs, name } = options
  const refuse = (fault: string) => {
    throw new ForebayError('queue_invalid', `Service Bus queue "${name}" ${fault}`)
  }
  if (found.requiresDuplicateDetection) {
    refuse('detects duplicates, which would drop delayed retries: create it anew without that.')
  }
  if (found.requiresSession) refuse('requires sessions: create it anew without them.')
  const lockMs = durationMs(found.lockDuration)
  if (lockMs < Math.min(leaseMs, lockMsMax)) {
    refuse(
      `locks messages for ${lockMs} ms, and leases of ${leaseMs} ms are asked: set its lock duration to that or more.`,
    )
  }
}

/** An ISO 8601 duration of days, hours, minutes and seconds. */
function durationMs(iso: string): number {
  const [, days, hours, minutes, seconds] =
    /^P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(iso)?.map((part) => Number(part ?? 0)) ?? []
  return ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1_000
}
