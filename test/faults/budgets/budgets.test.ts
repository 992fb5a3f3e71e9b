import { silentLogger } from '@forebay/kernel'
import { testDatabase } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { runBudgets } from './run-budgets.ts'

/* A short run of `npm run faults -- --suite budgets`; the long ones are run by hand. */
it('a hard budget is not overspent by 500 requests at once while gateways and results are killed, and every hold is given back', async () => {
  const database = await testDatabase({ migrated: false })
  const report = await runBudgets({
    kills: 2,
    clients: 500,
    seed: 5,
    logger: silentLogger,
    say: () => {},
    databaseUrl: database.url,
    replicas: { gateway: 2, results: 1, worker: 1 },
    tries: 4,
    stillMs: 1_500,
  })
  await database.drop()
  expect(report).toMatchObject({ kills: 2, lost: 0, doubled: 0, ledgerDifferenceNano: 0, problems: [] })
  expect(report.answered).toBeGreaterThan(150)
  expect(report.refused).toBeGreaterThan(50)
  expect(report.fullest).toBeGreaterThan(0.9)
})
