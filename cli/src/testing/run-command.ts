import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { systemClock } from '@forebay/kernel'
import { runCli } from '../run-cli.ts'

const bin = fileURLToPath(new URL('../../bin/forebay.js', import.meta.url))

/** Where a command runs, and the server it speaks to. */
export interface Place {
  url?: string
  cwd?: string
  env?: NodeJS.ProcessEnv
}

/** Runs a command to its end, without a process of its own: all that it does but start and be interrupted. */
export async function runCommand(args: readonly string[], place: Place = {}) {
  const said = { stdout: '', stderr: '' }
  const sink = (name: keyof typeof said) =>
    new Writable({
      decodeStrings: false,
      write: (text, _encoding, done) => {
        said[name] += text
        done()
      },
    })
  const code = await runCli(args, {
    env: envOf(place),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    clock: systemClock,
    cwd: place.cwd ?? process.cwd(),
    interrupted: new AbortController().signal,
  })
  return { code, ...said }
}

/** Starts the real command; `done` answers when it has ended. */
export function startBin(args: readonly string[], place: Place = {}) {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(place.cwd === undefined ? {} : { cwd: place.cwd }),
    env: envOf(place),
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

function envOf({ env, url }: Place): NodeJS.ProcessEnv {
  const key = 'fb-0123456789abcdef'
  return { PATH: '/usr/bin:/bin', FOREBAY_API_KEY: key, FOREBAY_URL: url ?? 'http://127.0.0.1:1', ...env }
}
