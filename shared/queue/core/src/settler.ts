import { type Clock, describeError, isForebayError, type Logger } from '@forebay/kernel'
import type { Lease, QueueDriver } from '@forebay/queue-port'
import { attemptOf, attributeNames, deadReasonOf, enqueuedAtOf } from './attributes.ts'
import type { BodyStore } from './body-store.ts'
import type { JobCodec } from './codec.ts'
import type { Outcome } from './job.ts'

/** Turns outcomes into broker calls. */
export interface Settler {
  /** A lost lease is logged, not thrown; anything else the broker refuses rejects. */
  settle(lease: Lease, outcome: Outcome): Promise<void>
}

// Some brokers take no more than a kilobyte of an attribute.
const reasonCharsMax = 250

/**
 * A settler that enforces `maxAttempts` by explicit dead-lettering and acknowledges jobs settled together in one call.
 * Where the codec says what a dead letter keeps, nothing else of a job reaches the dead-letter queue.
 */
export function makeSettler(options: {
  driver: QueueDriver
  clock: Clock
  logger: Logger
  maxAttempts: number
  bodies?: BodyStore
  codec?: Pick<JobCodec<unknown>, 'bare'>
}): Settler {
  const { bodies, clock, codec, driver, logger, maxAttempts } = options
  const acknowledge = makeAcknowledger(driver)

  const deleteBody = async (lease: Lease) => {
    const key = lease.attributes[attributeNames.body]
    if (key === undefined || !bodies) return
    await bodies.delete(key).catch((err: unknown) => {
      logger.warn({ queue: driver.name, jobId: lease.id, error: describeError(err) }, 'job body could not be deleted')
    })
  }

  const done = (lease: Lease): Promise<void> => {
    const acknowledged = acknowledge(lease)
    return lease.attributes[attributeNames.body] === undefined
      ? acknowledged
      : acknowledged.then(() => deleteBody(lease))
  }

  const snooze = async (lease: Lease, delayMs: number) => {
    const brokerDelayMs = Math.min(delayMs, driver.capabilities.delayMsMax)
    if (driver.capabilities.uncountedNack) return driver.nack(lease, { delayMs: brokerDelayMs, counted: false })
    // The broker counts every delivery: send a copy that remembers the attempts used so far, then drop this one.
    const attributes = {
      ...lease.attributes,
      [attributeNames.attempts]: String(attemptOf(lease) - 1),
      [attributeNames.enqueuedAt]: String(enqueuedAtOf(lease)),
      [attributeNames.notBefore]: String(clock.now() + delayMs),
    }
    const [sent] = await driver.send([{ id: lease.id, body: lease.body, attributes, delayMs: brokerDelayMs }])
    if (sent && !sent.ok) throw sent.error
    await driver.ack([lease])
  }

  /* A broker may move a message to its dead-letter queue only as it is: the job is replaced by what is left of it, and
     that is what whoever receives it sets aside. */
  const dead = async (lease: Lease, reason: { code: string; detail?: string }) => {
    if (!codec?.bare || deadReasonOf(lease)) return driver.deadLetter(lease, reason)
    const { code, detail } = reason
    const why = (detail === undefined ? code : `${code}: ${detail}`).slice(0, reasonCharsMax)
    const attributes = { [attributeNames.enqueuedAt]: String(enqueuedAtOf(lease)), [attributeNames.dead]: why }
    const [sent] = await driver.send([{ id: lease.id, body: codec.bare(lease.body), attributes }])
    if (sent && !sent.ok) throw sent.error
    const [gone] = await driver.ack([lease])
    if (gone && !gone.ok) throw gone.error
    await deleteBody(lease)
  }

  const apply = (lease: Lease, outcome: Outcome): Promise<void> => {
    switch (outcome.kind) {
      case 'done':
        return done(lease)
      case 'snooze':
        return snooze(lease, outcome.delayMs)
      case 'dead':
        return dead(lease, outcome)
      case 'retry':
        if (attemptOf(lease) < maxAttempts) {
          return driver.nack(lease, { delayMs: Math.min(outcome.delayMs, driver.capabilities.delayMsMax) })
        }
        return dead(lease, {
          code: 'max_attempts',
          detail: `attempt ${attemptOf(lease)} of ${maxAttempts}: ${outcome.reason ?? 'failed'}`,
        })
    }
  }

  return {
    settle: (lease, outcome) =>
      apply(lease, outcome).catch((err: unknown) => {
        if (!isForebayError(err) || err.code !== 'lease_lost') throw err
        logger.warn(
          { queue: driver.name, jobId: lease.id, outcome: outcome.kind },
          'lease lost before its job was settled',
        )
      }),
  }
}

interface Pending {
  readonly resolve: () => void
  readonly reject: (err: unknown) => void
}

/** Acknowledges in one call what is given to it in one turn of the event loop; each lease has its own answer. */
function makeAcknowledger(driver: QueueDriver): (lease: Lease) => Promise<void> {
  let leases: Lease[] = []
  let pending: Pending[] = []

  const flush = async () => {
    const [batch, waiting] = [leases, pending]
    leases = []
    pending = []
    try {
      const results = await driver.ack(batch)
      for (const [i, { reject, resolve }] of waiting.entries()) {
        const result = results[i]
        if (result && !result.ok) reject(result.error)
        else resolve()
      }
    } catch (err) {
      for (const { reject } of waiting) reject(err)
    }
  }
  return (lease) =>
    new Promise((resolve, reject) => {
      pending.push({ resolve, reject })
      if (leases.push(lease) === 1) queueMicrotask(flush)
    })
}
