import { defineConfig } from 'vitest/config'

const globalSetup = ['test/support/src/global-setup.ts']

/** Three projects: `unit` beside the sources, `boundaries` over the whole tree, `e2e` and `faults` with real processes. */
export default defineConfig({
  test: {
    // Generous: a busy machine is slow, and what hangs is told by `eventually` long before.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{shared,services,workers,cli}/**/*.test.ts'],
          globalSetup,
          // Most of their time they wait for a broker, a database or a process.
          maxWorkers: 3,
        },
      },
      { extends: true, test: { name: 'boundaries', include: ['test/boundaries/**/*.test.ts'], maxWorkers: 3 } },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/{e2e,faults,support}/**/*.test.ts'],
          globalSetup,
          testTimeout: 120_000,
          // One after another, and after the others: each starts many processes.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
