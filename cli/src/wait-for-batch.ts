import { isTerminal } from '@forebay/contracts'
import { backoffMs } from '@forebay/kernel'
import { isPassing } from './api-answers.ts'
import type { Batch } from './api-objects.ts'
import { describeBatch, describeErrors, exitCodeOf, nextSteps } from './batch-text.ts'
import type { Context } from './context.ts'
import { type ExitCode, exitCodes } from './failure.ts'
import { startProgress } from './progress.ts'
import { count } from './text.ts'

// A gateway that restarts is waited for; together some two minutes.
const failuresMax = 12

/**
 * Follows a batch to its end, says how it ended and answers the exit code for that. Ctrl-C detaches: the batch goes
 * on, the way to come back is said, and the code is 130.
 */
export async function waitForBatch(context: Context, batch: Batch, options: { show: boolean }): Promise<ExitCode> {
  const { out, interrupted } = context
  const seen = { batch }
  try {
    await follow(context, seen)
  } catch (err) {
    if (!interrupted.aborted) {
      out.note(`${batch.id} goes on without this command. Resume: forebay batch watch ${batch.id}`)
      throw err
    }
    if (out.json) out.data(seen.batch, () => '')
    out.note(`Detached; ${batch.id} goes on. Resume: forebay batch watch ${batch.id}`)
    return exitCodes.interrupted
  }
  const { status, request_counts: counts } = seen.batch
  if (options.show || out.json) out.data(seen.batch, () => describeBatch(seen.batch))
  for (const line of describeErrors(seen.batch)) out.note(line)
  const failed = counts.failed > 0 ? `, ${counts.failed.toLocaleString('en-US')} of them failed` : ''
  out.note(`${batch.id} ${status}: ${count(counts.completed + counts.failed, 'request')} done${failed}.`)
  for (const line of nextSteps(seen.batch)) out.note(line)
  return exitCodeOf(seen.batch)
}

async function follow(context: Context, seen: { batch: Batch }): Promise<void> {
  const { out, clock, interrupted } = context
  const startMs = clock.now()
  const progress = startProgress({ out, clock, label: seen.batch.id, show: (value) => String(value) })
  let failures = 0
  try {
    while (!isTerminal(seen.batch.status)) {
      const { total, completed, failed } = seen.batch.request_counts
      progress.update(
        completed + failed,
        total,
        failed > 0 ? `${seen.batch.status}, ${failed} failed` : seen.batch.status,
      )
      // Often at first, when something is likely to happen; every five seconds after a while.
      const pollMs = Math.min(5_000, Math.max(500, (clock.now() - startMs) / 20))
      await clock.sleep(failures > 0 ? backoffMs(failures, { firstMs: 1_000, maxMs: 15_000 }) : pollMs, interrupted)
      try {
        seen.batch = await context.api().call<Batch>('GET', `/v1/batches/${encodeURIComponent(seen.batch.id)}`)
        failures = 0
      } catch (err) {
        failures++
        if (!isPassing(err) || failures >= failuresMax) throw err
      }
    }
  } finally {
    progress.stop()
  }
}
