import { type Lane, lanes, type WorkJob, workJobSchema } from '@forebay/contracts'
import { silentLogger, systemClock } from '@forebay/kernel'
import { JobReceiver, LanePuller, makeJobSender, makeJsonCodec } from '@forebay/queue-core'
import { openQueues } from '@forebay/queue-select'
import type { Contender, ContenderOptions, Listener, NumberedJob } from './contender.ts'
import { leaseSeconds } from './contender.ts'

/** Jobs under way that a lane takes; a worker with small chunks has as many. */
const seats = 512
/** Of ten jobs, how they are spread over the lanes. On Redis the lanes are of two drivers, which are measured apart. */
const spreads = {
  all: ['realtime', 'standard', 'standard', ...Array<Lane>(7).fill('batch')],
  waiting: ['realtime'],
  background: ['standard', 'standard', 'standard', ...Array<Lane>(7).fill('batch')],
} as const satisfies Record<string, readonly Lane[]>

/**
 * Forebay's way, as scheduler and worker use it: a queue per lane, each job checked by its schema, leases kept alive,
 * every job settled by its own outcome.
 */
export async function openThroughCore(options: ContenderOptions & { lanes: keyof typeof spreads }): Promise<Contender> {
  const spread = spreads[options.lanes]
  const clock = systemClock
  const logger = silentLogger
  const leaseMs = leaseSeconds * 1_000
  const provider = await openQueues({ url: options.url, clock, logger, leaseMs })
  const codec = makeJsonCodec(workJobSchema)
  const opened = await Promise.all(
    lanes.map(async (lane) => {
      const driver = provider.queue(`${options.name}.${lane}`)
      await driver.ensure()
      return { lane, sender: makeJobSender({ driver, codec, clock }), driver }
    }),
  )
  let stopReceiving = async () => {}
  return {
    async send(jobs) {
      const byLane = new Map<Lane, NumberedJob[]>(lanes.map((lane) => [lane, []]))
      for (const [i, job] of jobs.entries()) byLane.get(spread[i % spread.length] ?? 'batch')?.push(job)
      await Promise.all(
        opened.map(async ({ lane, sender }) => {
          for (const result of await sender.send(byLane.get(lane) ?? [])) if (!result.ok) throw result.error
        }),
      )
    },
    start(on) {
      stopReceiving = receive(on)
    },
    async stop() {
      await stopReceiving()
      await provider.close()
    },
  }

  function receive(on: Listener): () => Promise<void> {
    const pulled = opened.map(({ lane, driver }) => {
      const receiver = new JobReceiver<WorkJob>({ driver, codec, clock, logger, leaseMs, maxAttempts: 5 })
      let held = 0
      return {
        name: lane,
        receiver,
        want: () => seats - held,
        onJob(leased: Awaited<ReturnType<typeof receiver.receive>>[number]) {
          held++
          on.arrived(leased.job)
          receiver.settle(leased, { kind: 'done' }).then(
            () => {
              held--
              on.acknowledged(1)
              wake()
            },
            (err: unknown) => on.failed(err),
          )
        },
      }
    })
    const puller = new LanePuller<WorkJob>({ lanes: pulled, clock, logger })
    let waking = false
    const wake = () => {
      if (waking) return
      waking = true
      setImmediate(() => {
        waking = false
        puller.wake()
      })
    }
    puller.start()
    return async () => {
      await puller.stop()
      await Promise.all(pulled.map(({ receiver }) => receiver.stop()))
    }
  }
}
