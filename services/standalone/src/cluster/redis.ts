import { connect } from 'node:net'
import { type Clock, ForebayError } from '@forebay/kernel'
import type { Command } from '../child.ts'

/** A Redis of the cluster's own: loopback, append-only file, never evicting. */
export function redisCommand(options: { port: number; dir: string; env: Record<string, string | undefined> }): Command {
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
export async function waitForRedis(options: { port: number; clock: Clock }): Promise<void> {
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
