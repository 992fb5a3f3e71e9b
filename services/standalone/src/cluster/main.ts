import { parseArgs } from 'node:util'
import { loadConfig } from '@forebay/config'
import { describeError, makeLogger, runProcess, systemClock } from '@forebay/kernel'
import { banner } from '../banner.ts'
import { startCluster } from './start-cluster.ts'

const help = `npm run cluster -- [--gateways 1] [--schedulers 1] [--results 1] [--webhooks 1] [--autoscalers 1] [--workers 1]

Starts every process of Forebay on its own, on loopback, with Redis for queue and reply bus: for tests and for trying
the form that runs on many hosts. Each process can be killed; it is started again. With FOREBAY_LOCAL_WORKERS=0..4 the
autoscaler starts and stops the workers itself: give --workers 0 then.
`

try {
  const count = { type: 'string', default: '1' } as const
  const { values } = parseArgs({
    options: {
      gateways: count,
      schedulers: count,
      results: count,
      webhooks: count,
      autoscalers: count,
      workers: count,
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    process.exit(0)
  }
  const { config } = loadConfig(process.env)
  const logger = makeLogger({ process: 'cluster', level: config.logLevel })
  const replicas = {
    gateway: Number(values.gateways),
    scheduler: Number(values.schedulers),
    results: Number(values.results),
    webhooks: Number(values.webhooks),
    autoscaler: Number(values.autoscalers),
    worker: Number(values.workers),
  }
  for (const [role, number] of Object.entries(replicas)) {
    const least = role === 'autoscaler' || (role === 'worker' && config.localWorkers) ? 0 : 1
    if (!Number.isInteger(number) || number < least || number > 16)
      throw new Error(`The number of ${role} processes must be from ${least} to 16.\n\n${help}`)
  }
  await runProcess({
    logger,
    tell: (reason) => void process.stderr.write(`${reason}\n`),
    start: async () => {
      const cluster = await startCluster({
        config,
        clock: systemClock,
        logger,
        env: { FOREBAY_LOG_LEVEL: 'warn', ...process.env },
        replicas,
        simArgs: ['--profile', 'laptop'],
      })
      process.stdout.write(banner({ ...cluster, url: cluster.urls[0] ?? '' }, { color: process.stdout.isTTY === true }))
      process.stdout.write(`  processes  ${cluster.supervisor.names().join(', ')}\n`)
      return cluster
    },
  })
} catch (err) {
  process.stderr.write(`${describeError(err)}\n`)
  process.exit(1)
}
