// Checks what the tests need and npm cannot bring: a Node new enough, and redis-server. Plain JavaScript without
// dependencies, so that it can say what is missing before anything else fails because of it.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old: use 20.19 or newer.`)
if (!process.env.TEST_REDIS_URL && !hasRedis()) installRedis()

function hasRedis() {
  return spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0
}

function installRedis() {
  const debian =
    existsSync('/etc/os-release') && /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'))
  if (!debian || process.getuid?.() !== 0) {
    fail(
      'The tests need redis-server. Install it with "sudo apt-get install redis-server" (Debian, Ubuntu) or "brew install redis" (macOS), or set TEST_REDIS_URL to a Redis that the tests may fill.',
    )
  }
  console.error('redis-server is missing; installing it with apt-get')
  withoutServices(() => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env })
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], { stdio: 'inherit', env })
  })
  if (!hasRedis()) fail('apt-get could not install redis-server; its messages are above.')
}

/** Debian starts a service as it is installed, unless this file says no. */
function withoutServices(install) {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return install()
  writeFileSync(policy, '#!/bin/sh\nexit 101\n')
  chmodSync(policy, 0o755)
  try {
    install()
  } finally {
    rmSync(policy)
  }
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
