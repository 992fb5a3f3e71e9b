import { readFile } from 'node:fs/promises'
import { silentLogger } from '@forebay/kernel'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isFaulty } from './main.ts'
import { plantedBugs } from './planted.ts'
import { runLedger, type Servers, startServers } from './run-ledger.ts'

/* A short run of `npm run faults -- --suite ledger`; the long ones are run by hand. */

let servers: Servers
beforeAll(async () => {
  servers = await startServers(silentLogger)
})
afterAll(() => servers.stop())

it('every token is counted and charged once, however often its event comes and whoever dies after a commit', async () => {
  const report = await runLedger({
    servers,
    name: 'proof',
    deliveries: 250,
    seed: 3,
    logger: silentLogger,
    disturbances: 1,
  })
  expect(report).toMatchObject({ lost: 0, doubled: 0, ledgerDifferenceNano: 0, problems: [] })
  expect(report.deliveries).toBeGreaterThan(200)
})

it('every bug that can be planted has its place', async () => {
  for (const { file, name, search } of plantedBugs) {
    const source = await readFile(new URL(`../../../services/results/src/${file}`, import.meta.url), 'utf8')
    expect(source.includes(search), `the place of '${name}' in ${file}`).toBe(true)
  }
})

it.each(['every delivery counts'])('catches the planted bug: %s', async (name) => {
  const bug = plantedBugs.find((planted) => planted.name === name)
  if (!bug) throw new Error(`no planted bug '${name}'`)
  const report = await runLedger({
    servers,
    name: `planted_${name.replaceAll(' ', '_')}`,
    deliveries: 100,
    seed: 4,
    logger: silentLogger,
    disturbances: 0,
    bug,
    settleMs: 4_000,
  })
  expect(isFaulty(report)).toBe(true)
})
