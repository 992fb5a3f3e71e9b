import { systemClock } from '@forebay/kernel'
import { exitCodes, Failure } from './failure.ts'
import { runCli } from './run-cli.ts'

const interrupt = new AbortController()
process.on('SIGINT', () => {
  if (interrupt.signal.aborted) process.exit(exitCodes.interrupted)
  interrupt.abort(new Failure(exitCodes.interrupted, 'Interrupted.'))
})
// What reads our output may have had enough, as `head` has.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  process.exit(err.code === 'EPIPE' ? exitCodes.ok : exitCodes.other)
})

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  cwd: process.cwd(),
  interrupted: interrupt.signal,
})
