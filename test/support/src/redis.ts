import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { tempDir } from './temp-dir.ts'

/** A Redis of a test's own. */
export interface TestRedis {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Ends it in good order (SIGTERM: it saves what it was told to save) and waits. Idempotent. */
  stop(): Promise<void>
  /** Ends it as a crash would (SIGKILL) and waits. */
  kill(): Promise<void>
}

/**
 * Starts a Redis on 127.0.0.1 and answers when it takes commands. Give the same `port` and `dir` again to start a
 * stopped one anew; with `appendonly` it keeps its data (written at once) over a kill.
 */
export async function startRedis(
  options: { port?: number; dir?: string; appendonly?: boolean } = {},
): Promise<TestRedis> {
  const port = options.port ?? (await freePort())
  const dir = options.dir ?? tempDir()
  const persist = options.appendonly ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--daemonize', 'no', ...persist]
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      said = `${said}${text}`.slice(-2_000)
    })
  }
  const exited = once(child, 'exit').catch((err: unknown) => {
    said = `${said}${String(err)}`
  })
  const killAtExit = () => child.kill('SIGKILL')
  process.on('exit', killAtExit)
  const end = async (signal: NodeJS.Signals) => {
    process.off('exit', killAtExit)
    child.kill(signal)
    await exited
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true })
  }
  try {
    await Promise.race([
      // Not a connection to the port: another server may have it, and answer.
      eventually(() => said.includes('Ready to accept connections'), { what: 'redis-server to be ready' }),
      exited.then(() => {
        throw new Error(`redis-server ended: ${said} (is it installed? run "node test/support/prepare.mjs")`)
      }),
    ])
  } catch (err) {
    await end('SIGKILL')
    throw err
  }
  const stop = () => end('SIGTERM')
  return { url: `redis://127.0.0.1:${port}`, port, pid: child.pid ?? 0, stop, kill: () => end('SIGKILL') }
}
