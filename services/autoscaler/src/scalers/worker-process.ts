import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Clock } from '@forebay/kernel'
import { commandOf } from '@forebay/launch'
import type { LocalWorker } from './local-scaler.ts'

/**
 * Starts one worker as a child process with these variables. It gets no database and no key, logs to this process's stderr,
 * and stops when this process dies, however it dies. `stop` sends SIGTERM, and SIGKILL after `graceMs`.
 */
export function startWorkerProcess(options: {
  env: Record<string, string | undefined>
  clock: Clock
  graceMs: number
}): LocalWorker {
  const nothingOfControl = { DATABASE_URL: undefined, FOREBAY_API_KEY: undefined, FOREBAY_LOCAL_WORKERS: undefined }
  const { args, command } = commandOf('workers/gpu/src/main.ts')
  const child = spawn(command, args, {
    env: { ...options.env, ...nothingOfControl, FOREBAY_OPS_PORT: '0' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const gone = Promise.race([once(child, 'exit'), once(child, 'error')]).catch(() => {})
  return {
    gone,
    async stop() {
      child.kill('SIGTERM')
      const cancel = options.clock.after(options.graceMs, () => child.kill('SIGKILL'))
      await gone
      cancel()
    },
  }
}
