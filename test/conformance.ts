import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

/*
 * npm run test:conformance -- <driver|all>
 *
 * Runs the conformance suite of one queue driver or of all. Fails first when a folder of shared/queue that holds a
 * driver has no conformance test: a driver is entered by writing one beside it.
 */
const root = resolve(import.meta.dirname, '..')
const queues = join(root, 'shared/queue')

const isDriver = (name: string) => existsSync(join(queues, name, 'src/driver.ts'))
const conformanceTests = (name: string) =>
  readdirSync(join(queues, name, 'src')).filter((file) => file.endsWith('.conformance.test.ts'))

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}

const drivers = readdirSync(queues).filter(isDriver)
if (drivers.length === 0) fail(`No queue driver was found under ${queues}: a driver has a src/driver.ts.`)
const missing = drivers.filter((name) => conformanceTests(name).length === 0)
if (missing.length > 0) {
  fail(
    `No conformance test for ${missing.join(', ')}: add src/<name>.conformance.test.ts that calls describeQueueDriver.`,
  )
}

const [asked] = process.argv.slice(2)
const chosen = asked === 'all' ? drivers : drivers.filter((name) => name === asked)
if (chosen.length === 0) fail(`Say which driver: npm run test:conformance -- <${[...drivers, 'all'].join('|')}>`)

const files = chosen.flatMap((name) => conformanceTests(name).map((file) => `shared/queue/${name}/src/${file}`))
// One driver after the other: beside each other they would wait for the machine more than for their brokers.
const args = ['vitest', 'run', '--project', 'unit', '--no-file-parallelism', ...files]
const env = { ...process.env, FOREBAY_CONFORMANCE_MESSAGES: process.env['FOREBAY_CONFORMANCE_MESSAGES'] ?? '5000' }
const vitest = spawn('npx', args, { cwd: root, stdio: 'inherit', env })
vitest.on('exit', (code) => process.exit(code ?? 1))
