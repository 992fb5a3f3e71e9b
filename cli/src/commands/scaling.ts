import type { Command } from 'commander'
import type { Page } from '../api-objects.ts'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { table } from '../text.ts'

interface Scaling {
  pool: string
  ready: number
  desired: number
  wanted: number
  reason: string
  stuck: boolean
  outstanding_tokens: number
  live_tokens_per_second: number
  age_seconds: number
  changes: { at: number; before: number; desired: number; reason: string }[]
}

// Decisions are made every few seconds, five minutes apart at most (FOREBAY_SCALE_EVERY_MS).
const staleSeconds = 330

/** `forebay scaling`, for an admin key. */
export function addScalingCommand(program: Command, cli: Cli): void {
  const command = examples(
    program
      .command('scaling')
      .description('how many workers each pool should have, and why; needs an admin key')
      .option('--changes', 'the latest decisions that changed a number, too'),
    'forebay scaling',
    'forebay scaling --changes --json',
  )
  onRun<[], { changes?: boolean }>(cli, command, async ({ api, out }, _args, { changes }) => {
    const { data } = await api().call<Page<Scaling>>('GET', '/admin/scaling')
    out.data(data, () =>
      [
        table(
          ['POOL', 'READY', 'DESIRED', 'OUTSTANDING TOKENS', 'LIVE TOKENS/S', 'AGE', 'WHY'],
          data.map((each) => [
            ...[each.pool, each.ready, each.desired, Math.round(each.outstanding_tokens)],
            ...[Math.round(each.live_tokens_per_second), `${each.age_seconds} s`, each.reason],
          ]),
        ),
        ...(changes ? [table(['POOL', 'AT', 'FROM', 'TO', 'WHY'], data.flatMap(changeRows))] : []),
      ].join('\n\n'),
    )
    if (data.length === 0) out.note('Nothing was decided yet: is the autoscaler running?')
    for (const { pool, reason, stuck } of data) if (stuck) out.warn(`${pool}: workers do not come. ${reason}`)
    const [oldest] = data.toSorted((a, b) => b.age_seconds - a.age_seconds)
    if (oldest !== undefined && oldest.age_seconds > staleSeconds) {
      out.warn(
        `The decision for ${oldest.pool} is ${oldest.age_seconds} s old: is the autoscaler running? The number of workers stays.`,
      )
    }
    return exitCodes.ok
  })
}

function changeRows({ changes, pool }: Scaling): (string | number)[][] {
  return changes.map(({ at, before, desired, reason }) => [
    pool,
    new Date(at * 1000).toISOString(),
    before,
    desired,
    reason,
  ])
}
