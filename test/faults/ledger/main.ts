import type { Logger } from '@forebay/kernel'
import { plantedBugs } from './planted.ts'
import { type LedgerReport, runLedger, startServers } from './run-ledger.ts'

/** Whether a run found anything wrong. */
export function isFaulty(report: LedgerReport): boolean {
  return report.lost + report.doubled + report.ledgerDifferenceNano > 0 || report.problems.length > 0
}

/** Runs the suite once without a bug, or once with each of the planted ones; answers what `--json` prints. */
export async function ledgerSuite(options: {
  deliveries: number
  seed: number
  planted: string | undefined
  logger: Logger
  say: (text: string) => void
}): Promise<{ good: boolean; result: object }> {
  const { deliveries, logger, planted, say, seed } = options
  const servers = await startServers(logger)
  try {
    if (planted === undefined) {
      const disturbances = Math.max(4, Math.min(100, Math.floor(deliveries / 1_000)))
      const { problems, ...report } = await runLedger({
        servers,
        name: 'proof',
        deliveries,
        seed,
        logger,
        disturbances,
      })
      for (const problem of problems.slice(0, 20)) say(`  problem: ${problem}\n`)
      return { good: !isFaulty({ ...report, problems }), result: report }
    }
    const bugs = plantedBugs.filter(({ name }) => planted === 'all' || name === planted)
    const missed: string[] = []
    for (const [i, bug] of bugs.entries()) {
      const name = `planted_${i}`
      const report = await runLedger({
        servers,
        name,
        deliveries: 200,
        seed: seed + i,
        logger,
        disturbances: bug.kills ?? 0,
        bug,
        settleMs: 15_000,
      })
      const caught = isFaulty(report)
      if (!caught) missed.push(bug.name)
      say(`  ${caught ? 'caught' : 'MISSED'}: ${bug.name}\n`)
    }
    return {
      good: bugs.length > 0 && missed.length === 0,
      result: { planted: bugs.length, caught: bugs.length - missed.length, missed },
    }
  } finally {
    await servers.stop()
  }
}
