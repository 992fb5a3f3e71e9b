import { configOrExit } from '@forebay/config'
import { makeLogger, runProcess, systemClock } from '@forebay/kernel'
import { banner } from './banner.ts'
import { startStandalone } from './start-standalone.ts'

/** `npm start`: everything in one process tree, until it is told to stop. */
const config = configOrExit(process.env)
const logger = makeLogger({
  process: 'standalone',
  level: process.env['FOREBAY_LOG_LEVEL'] === undefined ? 'warn' : config.logLevel,
})
await runProcess({
  logger,
  tell: (reason) => void process.stderr.write(`${reason}\n`),
  start: async () => {
    const standalone = await startStandalone({
      config,
      clock: systemClock,
      logger,
      env: process.env,
      simArgs: ['--profile', 'laptop'],
    })
    process.stdout.write(banner(standalone, { color: process.stdout.isTTY === true }))
    return standalone
  },
})
