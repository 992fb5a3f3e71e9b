import { type JudgeCriterion, judgeCriteria } from '@forebay/contracts'
import { newId } from '@forebay/kernel'
import type { Queryable, Row } from '@forebay/store'
import type { SchedulerMetrics } from '../metrics.ts'
import { criteriaBelow, readScores, type Scores } from './read-scores.ts'
import type { JudgeOptions } from './start-run.ts'

interface EndedRun extends Row {
  batchId: string
  tenantId: string
  judgeBatchId: string
  judgeModel: string
  sampled: number
  inputFileId: string
  /** Null: the judge answered nothing. */
  outputKey: string | null
  outputBytes: number
}

interface Judged {
  requestId: string
  scores: Scores
  below: JudgeCriterion[]
}

/**
 * Reads the scores out of one judge batch that ended: into the table of scores, what is below the least allowed to the
 * reviews, and, when that is a large part, an alert into the outbox; all in one transaction, once. The judge's files are
 * over then. False when none has ended.
 */
export async function readJudgeRun(options: JudgeOptions & { metrics: SchedulerMetrics }): Promise<boolean> {
  const { blobs, clock, config, db, logger, metrics } = options
  const run = await endedRun(db)
  if (!run) return false
  const text = run.outputKey === null ? '' : (await blobs.readRange(run.outputKey, 0, run.outputBytes)).toString()
  const judged = text.split('\n').flatMap((line) => judgedLine(line, config.judgeScoreMin))
  const flagged = judged.filter(({ below }) => below.length > 0)
  const alert = flagged.length > 0 && flagged.length >= config.judgeAlertShare * judged.length
  const read = await db.tx(async (tx) => {
    const first = await tx.query(
      `UPDATE judge_runs SET read_at = now(), scored = $2, unscored = sampled - $2, flagged = $3
       WHERE batch_id = $1 AND read_at IS NULL RETURNING batch_id`,
      [run.batchId, judged.length, flagged.length],
    )
    if (first.length === 0) return false
    await insertScores(tx, run, judged)
    const ids = flagged.map(() => newId('review_', clock.now()))
    await insertReviews(tx, run.tenantId, flagged, ids)
    if (alert) {
      await tx.query("INSERT INTO events (id, tenant_id, type, data) VALUES ($1, $2, 'quality.alert', $3)", [
        newId('evt_', clock.now()),
        run.tenantId,
        JSON.stringify({ id: run.batchId, judged: judged.length, flagged: flagged.length }),
      ])
      await tx.query("SELECT pg_notify('forebay_events', '')")
    }
    // The judge's input holds what the tenant asked and was answered.
    await tx.query(
      `UPDATE files SET expires_at = now() WHERE deleted_at IS NULL AND id IN (
         SELECT unnest(ARRAY[input_file_id, output_file_id, error_file_id]) FROM batches WHERE id = $1)`,
      [run.judgeBatchId],
    )
    return true
  })
  if (!read) return true
  for (const { scores } of judged) {
    for (const criterion of judgeCriteria) metrics.judgeScores.observe({ criterion }, scores[criterion])
  }
  metrics.judged.inc({ verdict: 'good' }, judged.length - flagged.length)
  metrics.judged.inc({ verdict: 'flagged' }, flagged.length)
  metrics.judged.inc({ verdict: 'unscored' }, run.sampled - judged.length)
  if (alert) metrics.qualityAlerts.inc()
  const { batchId, judgeBatchId, sampled } = run
  logger.info({ batchId, judgeBatchId, sampled, scored: judged.length, flagged: flagged.length }, 'judge was read')
  return true
}

async function endedRun(db: Queryable): Promise<EndedRun | undefined> {
  const [run] = await db.query<EndedRun>(
    `SELECT j.batch_id AS "batchId", b.tenant_id AS "tenantId", j.judge_batch_id AS "judgeBatchId",
       coalesce(judge.model, '') AS "judgeModel", j.sampled, judge.input_file_id AS "inputFileId",
       f.blob_key AS "outputKey", coalesce(f.bytes, 0) AS "outputBytes"
     FROM judge_runs j JOIN batches judge ON judge.id = j.judge_batch_id JOIN batches b ON b.id = j.batch_id
       LEFT JOIN files f ON f.id = judge.output_file_id AND f.deleted_at IS NULL
     WHERE j.read_at IS NULL AND judge.status IN ('completed', 'failed', 'expired', 'cancelled') LIMIT 1`,
  )
  return run
}

function judgedLine(line: string, scoreMin: number): Judged[] {
  if (line === '') return []
  const { custom_id: requestId, response }: { custom_id: string; response: { body: unknown } | null } = JSON.parse(line)
  const scores = readScores(response?.body)
  return scores ? [{ requestId, scores, below: criteriaBelow(scores, scoreMin) }] : []
}

async function insertScores(tx: Queryable, run: EndedRun, judged: readonly Judged[]): Promise<void> {
  const columns = judgeCriteria.map((_, i) => `$${i + 5}::smallint[]`)
  await tx.query(
    `INSERT INTO quality_scores (request_id, tenant_id, batch_id, model, judge_model, ${judgeCriteria.join(', ')})
     SELECT r.id, $1, $2, r.model, $3, ${judgeCriteria.map((name) => `given.${name}`).join(', ')}
     FROM unnest($4::text[], ${columns.join(', ')}) AS given (id, ${judgeCriteria.join(', ')})
       JOIN requests r ON r.born = born_of($2) AND r.id = given.id AND r.batch_id = $2
     ON CONFLICT DO NOTHING`,
    [
      ...[run.tenantId, run.batchId, run.judgeModel, judged.map(({ requestId }) => requestId)],
      ...judgeCriteria.map((criterion) => judged.map(({ scores }) => scores[criterion])),
    ],
  )
}

async function insertReviews(
  tx: Queryable,
  tenantId: string,
  flagged: readonly Judged[],
  ids: readonly string[],
): Promise<void> {
  if (flagged.length === 0) return
  await tx.query(
    `INSERT INTO reviews (id, tenant_id, request_id, reasons)
     SELECT given.id, $1, s.request_id, string_to_array(given.reasons, ',')
     FROM unnest($2::text[], $3::text[], $4::text[]) AS given (id, request_id, reasons)
       JOIN quality_scores s ON s.request_id = given.request_id
     ON CONFLICT DO NOTHING`,
    [tenantId, ids, flagged.map(({ requestId }) => requestId), flagged.map(({ below }) => below.join(','))],
  )
}
