import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '@forebay/config'
import { startEmbeddedPostgres } from '@forebay/embedded-postgres'
import { type Logger, type Running, systemClock } from '@forebay/kernel'
import { startCluster } from '@forebay/standalone'
import { migrate } from '@forebay/store'
import { eventually } from '@forebay/test-support'
import { Agent, request } from 'undici'
import { makeRandom } from '../random.ts'
import {
  compareCharges,
  countCharges,
  countHolds,
  endHolds,
  keyId,
  mostNano,
  setPrices,
  tenantBudget,
  watchBudgets,
} from './books.mjs'
import { askOnce, bodyOf, crowd, outputTokens, type Sightings } from './live-crowd.ts'

/** What the suite saw; `lost`, `doubled` and `ledgerDifferenceNano` must be 0, and `problems` empty. */
export interface BudgetReport {
  kills: number
  requests: number
  answered: number
  refused: number
  broken: number
  charged: number
  looks: number
  /** The most that was spent and held at a look, of the limit: 1 is all of it. */
  fullest: number
  /** What the dead held in the end, and what was given back for them once its time was over. */
  heldByTheDeadNano: number
  lost: number
  doubled: number
  ledgerDifferenceNano: number
  problems: string[]
}

const apiKey = 'fb-budget-faults-key'
// Of the clients of a round, so many can be held at the same time.
const roomShare = 0.4
const quietMs = 30_000

/**
 * Sends `clients` live requests at once, near a hard budget of the tenant and a wider one of its key, to real gateways,
 * kills processes with SIGKILL in between, round after round until there were `kills`, and looks all the while whether
 * more is spent and held than the budget has. In the end every request must be charged once and every hold be gone.
 */
export async function runBudgets(options: {
  kills: number
  clients: number
  seed: number
  logger: Logger
  say: (text: string) => void
  /** An empty database; one is started where none is given. */
  databaseUrl?: string
  replicas?: { gateway: number; results: number; worker: number }
  /** How often each client asks in a round. */
  tries?: number
  /** Charges are all in when none came for so long: longer than a lease, where workers are killed. */
  stillMs?: number
}): Promise<BudgetReport> {
  const { clients, kills, logger, say, seed, tries = 8 } = options
  const random = makeRandom(seed)
  const dataDir = await mkdtemp(join(tmpdir(), 'forebay-budgets-'))
  const started: Running[] = []
  try {
    const replicas = { scheduler: 1, webhooks: 0, ...(options.replicas ?? { gateway: 3, results: 2, worker: 2 }) }
    let { databaseUrl } = options
    if (databaseUrl === undefined) {
      const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), logger, clock: systemClock })
      started.unshift(postgres)
      databaseUrl = postgres.url
    }
    await migrate({ url: databaseUrl })
    await setPrices(databaseUrl)
    const env = environment(dataDir, databaseUrl)
    const { config } = loadConfig(env)
    const simArgs = ['--profile', 'fixed', '--fixed-ms', '150']
    const cluster = await startCluster({ config, clock: systemClock, logger, env, replicas, simArgs })
    started.unshift(cluster)
    const { supervisor, urls } = cluster
    await warm(urls)
    say(`  running: ${supervisor.names().join(', ')}\n`)

    const estimate = mostNano(bodyOf('round-00-000-0'), outputTokens)
    const room = (estimate * BigInt(Math.round(clients * roomShare * 100))) / 100n
    const key = await keyId(databaseUrl)
    const sightings: Sightings = { answered: new Map(), refused: new Set(), broken: 0 }
    const victims = victimsOf(supervisor.names(), random)
    const watch = await watchBudgets(databaseUrl)
    started.unshift(watch)
    let killed = 0
    for (let round = 0; killed < kills || round === 0; round++) {
      const { held, spent } = await tenantBudget(databaseUrl)
      await setBudget(urls, { hard_nano: Number(spent + held + room) })
      await setBudget(urls, { key, hard_nano: Number(spent + held + room * 2n) })
      let over = false
      const asking = crowd({ urls, apiKey, clients, tries, name: `round-${round}`, random, sightings }).finally(() => {
        over = true
      })
      const killing = (async () => {
        while (!over && killed < kills) {
          const before = await countCharges(databaseUrl)
          const share = 20 + random() * 80
          await until(async () => over || (await countCharges(databaseUrl)) - before > share, 3_000)
          const victim = victims.next().value
          if (!over && (await supervisor.kill(victim, 'SIGKILL'))) say(`  kill ${++killed}/${kills}: ${victim}\n`)
        }
      })()
      await Promise.all([asking, killing])
      const [answered, refused] = [sightings.answered.size, sightings.refused.size]
      say(`  round ${round + 1}: ${answered} answered, ${refused} refused, ${sightings.broken} broken so far\n`)
    }

    const compare = () => compareCharges(databaseUrl, sightings)
    await until(async () => (await compare()).lost === 0, quietMs)
    await untilStill(() => countCharges(databaseUrl), options.stillMs ?? 5_000)
    const heldByTheDead = await endHolds(databaseUrl)
    const problems: string[] = []
    await until(async () => (await countHolds(databaseUrl)) === 0, quietMs)
    const left = await countHolds(databaseUrl)
    // A gateway that lives may have taken a new block meanwhile; with nobody asking it has not.
    if (left > 0) problems.push(`${left} holds were not given back`)
    if ((await useAgain(urls, sightings)) !== 200) problems.push('what was given back cannot be used again')
    await until(async () => (await compare()).lost === 0, quietMs)
    await watch.stop()
    const found = await compare()
    const { looks, fullest } = watch.seen
    return {
      kills: killed,
      requests: sightings.answered.size + sightings.refused.size + sightings.broken,
      answered: sightings.answered.size,
      refused: sightings.refused.size,
      broken: sightings.broken,
      ...{ charged: found.charged, looks, fullest, heldByTheDeadNano: Number(heldByTheDead) },
      ...{ lost: found.lost, doubled: found.doubled, ledgerDifferenceNano: found.differenceNano },
      problems: [...watch.seen.problems, ...problems, ...found.problems],
    }
  } finally {
    for (const part of started) await part.stop().catch(() => {})
    await rm(dataDir, { recursive: true, force: true })
  }
}

function environment(dataDir: string, databaseUrl: string): Record<string, string | undefined> {
  return {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    PORT: '0',
    DATABASE_URL: databaseUrl,
    FOREBAY_DATA_DIR: dataDir,
    FOREBAY_API_KEY: apiKey,
    FOREBAY_LOG_LEVEL: process.env['FOREBAY_LOG_LEVEL'] ?? 'fatal',
    FOREBAY_QUEUE_LEASE_MS: '3000',
    FOREBAY_REQUESTS_PER_MINUTE: '1000000',
    FOREBAY_TOKENS_PER_MINUTE: '1000000000',
  }
}

/** Gateways mostly, a results process and a worker in between; which of them, by chance. */
function* victimsOf(names: readonly string[], random: () => number): Generator<string, never> {
  const roles = ['gateway', 'results', 'gateway', 'worker', 'gateway', 'gateway']
  for (let i = 0; ; i++) {
    const of = names.filter((name) => name.startsWith(`${roles[i % roles.length]}-`))
    yield of[Math.floor(random() * of.length)] ?? ''
  }
}

/** Waits until a worker has told every gateway of its model. */
async function warm(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const serves = async () => {
      const response = await request(`${url}/v1/models`, { headers: { authorization: `Bearer ${apiKey}` } })
      return (await response.body.text()).includes('forebay-sim')
    }
    await eventually(serves, { what: `${url} to know a model`, timeoutMs: 30_000 })
  }
}

async function setBudget(urls: readonly string[], limits: { key?: string; hard_nano: number }): Promise<void> {
  const body = JSON.stringify({ tenant: 'default', period: 'total', ...limits })
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  // By each gateway, so that each knows it at once; one that is down reads it when it starts.
  const put = async () => {
    let set = false
    for (const url of urls) {
      const response = await request(`${url}/admin/budgets`, { method: 'PUT', headers, body }).catch(() => undefined)
      await response?.body.dump()
      set ||= response?.statusCode === 200
    }
    return set
  }
  await eventually(put, { what: 'the budget to be set', timeoutMs: 30_000 })
}

async function useAgain(urls: readonly string[], sightings: Sightings): Promise<number> {
  const agent = new Agent()
  let status = 0
  try {
    await until(async () => {
      const url = urls[0] ?? ''
      status = await askOnce({ url, agent, apiKey, body: bodyOf('again'), sightings })
      return status === 200
    }, quietMs)
    return status
  } finally {
    await agent.destroy()
  }
}

/** Waits for a condition, for so long at most. */
async function until(isSo: () => Promise<boolean>, atMostMs: number): Promise<void> {
  await eventually(isSo, { what: 'it', timeoutMs: atMostMs }).catch(() => {})
}

/** Waits until a number has not moved for so long. */
async function untilStill(read: () => Promise<number>, stillMs: number): Promise<void> {
  let [last, sinceMs] = [await read(), systemClock.now()]
  while (systemClock.now() - sinceMs < stillMs) {
    await systemClock.sleep(250)
    const now = await read()
    if (now !== last) [last, sinceMs] = [now, systemClock.now()]
  }
}
