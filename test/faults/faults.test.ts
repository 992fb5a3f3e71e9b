import { silentLogger } from '@forebay/kernel'
import { describe, expect, it } from 'vitest'
import { runFaults } from './run-faults.ts'

/* A short run of `npm run faults`; the long ones are run by hand, with more kills and other seeds. */
describe('nothing acknowledged is lost when processes are killed', () => {
  for (const [form, kills] of [
    ['standalone', 3],
    ['cluster', 12],
  ] as const) {
    it(`${form}: every line exactly once, every token charged once, after ${kills} kills`, {
      timeout: 240_000,
    }, async () => {
      const report = await runFaults({ form, kills, seed: 7, logger: silentLogger, say: () => {} })
      expect(report.problems).toEqual([])
      expect(report).toMatchObject({ kills, lost: 0, doubled: 0, overcharged: 0 })
      expect(report.lines).toBeGreaterThan(400)
    })
  }
})
