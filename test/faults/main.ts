import { parseArgs } from 'node:util'
import { makeLogger } from '@forebay/kernel'
import { runBudgets } from './budgets/run-budgets.ts'
import { ledgerSuite } from './ledger/main.ts'
import { type FaultReport, type Form, runFaults } from './run-faults.ts'

const help = `npm run faults -- [--kills N] [--seed S] [--form standalone|cluster|both] [--json]
npm run faults -- --suite budgets [--kills N] [--clients N] [--seed S] [--json]
npm run faults -- --suite ledger [--deliveries N] [--planted all|NAME] [--seed S] [--json]

Kills processes (Redis included) with SIGKILL at random moments while batches run, then checks that every line came
back exactly once and every token was charged once. With the form "both" half of the kills go to each.

The suite budgets has so many clients (500) ask at once near a hard budget, kills gateways, workers and results
processes in between, and looks all the while whether more is spent and held than the budget has.

The suite ledger delivers result events one to five times in random order to replicas of the results service, kills
them after a commit and stops them past their lease, and compares ledger and counters with what was sent. With
--planted it runs a copy of the service with a bug in it, for each, and tells whether the bug was caught.
`

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    form: { type: 'string', default: 'both' },
    suite: { type: 'string', default: 'kills' },
    clients: { type: 'string', default: '500' },
    deliveries: { type: 'string', default: '100000' },
    planted: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
const kills = Number(values.kills)
const seed = Number(values.seed)
if (
  values.help ||
  !Number.isInteger(kills) ||
  kills < 0 ||
  !Number.isInteger(seed) ||
  !['standalone', 'cluster', 'both'].includes(values.form) ||
  !['kills', 'budgets', 'ledger'].includes(values.suite) ||
  !/^[1-9]\d{0,3}$/.test(values.clients) ||
  !/^[1-9]\d{0,7}$/.test(values.deliveries)
) {
  process.stderr.write(help)
  process.exit(values.help ? 0 : 2)
}

const logger = makeLogger({
  process: 'faults',
  level: process.env['FOREBAY_LOG_LEVEL'] === 'debug' ? 'debug' : 'fatal',
})
const say = (text: string) => void process.stderr.write(text)
if (values.suite === 'ledger') {
  const deliveries = Number(values.deliveries)
  const { good, result } = await ledgerSuite({ deliveries, seed, planted: values.planted, logger, say })
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`)
  process.exit(good ? 0 : 1)
}
if (values.suite === 'budgets') {
  const { problems, ...report } = await runBudgets({ kills, clients: Number(values.clients), seed, logger, say })
  for (const problem of problems.slice(0, 50)) say(`  problem: ${problem}\n`)
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `${JSON.stringify(report, null, 2)}\n`)
  process.exit(problems.length + report.lost + report.doubled + report.ledgerDifferenceNano === 0 ? 0 : 1)
}
const forms: [Form, number][] =
  values.form === 'both'
    ? [
        ['standalone', Math.floor(kills / 2)],
        ['cluster', Math.ceil(kills / 2)],
      ]
    : [[values.form as Form, kills]]
const total: FaultReport = { kills: 0, batches: 0, lines: 0, lost: 0, doubled: 0, overcharged: 0, problems: [] }
for (const [form, count] of forms) {
  say(`${form}: ${count} kills, seed ${seed}\n`)
  const report = await runFaults({ form, kills: count, seed, logger, say })
  for (const key of ['kills', 'batches', 'lines', 'lost', 'doubled', 'overcharged'] as const) total[key] += report[key]
  total.problems.push(...report.problems)
}
const { problems, ...counts } = total
for (const problem of problems.slice(0, 50)) say(`  problem: ${problem}\n`)
if (values.json) process.stdout.write(`${JSON.stringify(counts)}\n`)
else
  process.stdout.write(
    `${Object.entries(counts)
      .map(([name, count]) => `${name.padEnd(12)}${count}`)
      .join('\n')}\n`,
  )
process.exit(problems.length === 0 && total.lost + total.doubled + total.overcharged === 0 ? 0 : 1)
