import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '@forebay/config'
import { describeError, makeLogger, systemClock } from '@forebay/kernel'
import { startStandalone } from '../start-standalone.ts'
import { runDemo } from './run-demo.ts'
import { isGood, renderSummary } from './summary.ts'

/*
 * `npm run demo`: a bulk job of real documents beside live chat traffic, on this machine, and a check of all that came
 * back. Exit code 0 when every line came back exactly once and the webhook's signature was good.
 */
const json = process.argv.includes('--json')
const say = (text: string) => process.stderr.write(text)
try {
  const env = process.env
  // A folder and a port of its own, so that the demo never meets a running server.
  const { config: given } = loadConfig(env)
  const config = {
    ...given,
    dataDir: join(given.dataDir, 'demo'),
    port: env['PORT'] ? given.port : 0,
    webhookAllow: ['127.0.0.1/32'],
  }
  const logger = makeLogger({ process: 'demo', level: env['FOREBAY_LOG_LEVEL'] ? given.logLevel : 'error' })
  const startedMs = performance.now()
  say('Starting Forebay: Postgres, queue, scheduler, worker, results, webhooks, gateway … ')
  const standalone = await startStandalone({
    config,
    clock: systemClock,
    logger,
    env,
    simArgs: ['--profile', 'laptop'],
  })
  let stopping = false
  process.once('SIGINT', () => {
    stopping = true
    say('\nStopping …\n')
    void standalone.stop().finally(() => process.exit(130))
  })
  try {
    say(
      `up in ${((performance.now() - startedMs) / 1000).toFixed(1)} s at ${standalone.url}\nEngine: ${standalone.engine.description}\n`,
    )
    const packages = fileURLToPath(new URL('../../../../node_modules', import.meta.url))
    const { summary, files } = await runDemo({
      standalone,
      clock: systemClock,
      packages,
      say,
      bars: !json && process.stderr.isTTY === true,
    })
    const folder = join(standalone.dataDir, 'results')
    await mkdir(folder, { recursive: true })
    for (const file of files) {
      const path = join(folder, file.name)
      await writeFile(path, file.text)
      summary.results.push(path)
    }
    if (json) process.stdout.write(`${JSON.stringify(summary)}\n`)
    else process.stdout.write(renderSummary(summary, { color: process.stdout.isTTY === true }))
    process.exitCode = isGood(summary) ? 0 : 1
  } finally {
    if (!stopping) await standalone.stop()
  }
} catch (err) {
  say(`\n${describeError(err)}\n`)
  process.exitCode = 1
}
