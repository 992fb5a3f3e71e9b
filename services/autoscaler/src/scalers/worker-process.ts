import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Clock } from '@forebay/kernel'
import type { LocalWorker } from './local-scaler.ts'

const script = fileURLToPath(new URL('../../../../workers/gpu/src/main.ts', import.meta.url))
const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

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
  const child = spawn(process.execPath, ['--import', loader, script], {
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
