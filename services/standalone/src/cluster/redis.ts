import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type Clock, ForebayError } from '@forebay/kernel'
import type { Command } from '../child.ts'
import { freePort } from '../free-port.ts'
import type { Supervisor } from './supervisor.ts'

/** Starts a Redis of our own under the supervisor, with its files in the data folder, and answers its URL once it works. */
export async function startRedis(options: {
  supervisor: Pick<Supervisor, 'start'>
  clock: Clock
  dataDir: string
  env: Record<string, string | undefined>
}): Promise<string> {
  const port = await freePort()
  const dir = join(options.dataDir, 'redis')
  await mkdir(dir, { recursive: true })
  options.supervisor.start('redis', redisCommand({ port, dir, env: options.env }))
  await waitForRedis({ port, clock: options.clock })
  return `redis://127.0.0.1:${port}`
}

/** Loopback, append-only file, never evicting. */
function redisCommand(options: { port: number; dir: string; env: Record<string, string | undefined> }): Command {
  const settings = {
    bind: '127.0.0.1',
    port: String(options.port),
    dir: options.dir,
    appendonly: 'yes',
    save: '',
    'maxmemory-policy': 'noeviction',
    loglevel: 'warning',
  }
  return {
    command: 'redis-server',
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    env: options.env,
  }
}

/** Resolves when Redis answers. Throws `config_invalid`, saying how to install it, when it does not within 10 s. */
async function waitForRedis(options: { port: number; clock: Clock }): Promise<void> {
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 50) {
    if (await answers(options.port)) return
    await options.clock.sleep(50)
  }
  throw new ForebayError(
    'config_invalid',
    'redis-server did not start. Install it (Debian and Ubuntu: apt install redis-server; macOS: brew install redis), or name a running one with REDIS_URL.',
  )
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const done = (good: boolean) => {
      socket.destroy()
      resolve(good)
    }
    socket.once('data', (data) => done(data.toString().startsWith('+PONG')))
    socket.once('error', () => done(false))
  })
}
