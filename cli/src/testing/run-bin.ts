import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const bin = fileURLToPath(new URL('../../bin/forebay.js', import.meta.url))

/** Starts the real command; `done` answers when it has ended. */
export function startBin(
  args: readonly string[],
  options: { url?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: {
      PATH: '/usr/bin:/bin',
      FOREBAY_API_KEY: 'fb-0123456789abcdef',
      FOREBAY_URL: options.url ?? 'http://127.0.0.1:1',
      ...options.env,
    },
  })
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said.stderr += text
  })
  return {
    said,
    interrupt: () => child.kill('SIGINT'),
    done: once(child, 'close').then(([code]) => ({ code: code as number | null, ...said })),
  }
}

/** Runs the real command to its end. */
export function runBin(...args: Parameters<typeof startBin>) {
  return startBin(...args).done
}
