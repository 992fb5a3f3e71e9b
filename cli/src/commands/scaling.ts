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
  changes: { at: number; before: number; desired: number; reason: string }[]
}

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
          ['POOL', 'READY', 'DESIRED', 'OUTSTANDING TOKENS', 'LIVE TOKENS/S', 'WHY'],
          data.map((each) => [
            ...[each.pool, each.ready, each.desired, Math.round(each.outstanding_tokens)],
            ...[Math.round(each.live_tokens_per_second), each.reason],
          ]),
        ),
        ...(changes ? [table(['POOL', 'AT', 'FROM', 'TO', 'WHY'], data.flatMap(changeRows))] : []),
      ].join('\n\n'),
    )
    if (data.length === 0) out.note('Nothing was decided yet: is the autoscaler running?')
    for (const { pool, stuck } of data) if (stuck) out.warn(`${pool}: workers asked for long ago do not come.`)
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
