import { Counter, Gauge, Histogram, type Registry } from '@forebay/kernel'

/** The scheduler's metrics, registered in `registry`. */
export interface SchedulerMetrics {
  batches: Gauge<'status'>
  chunksReleased: Counter<'pool' | 'lane' | 'reason'>
  sendFailures: Counter<'pool' | 'lane'>
  windowTokens: Gauge<'pool' | 'lane'>
  outstandingTokens: Gauge<'pool' | 'lane'>
  outstandingChunks: Gauge<'pool' | 'lane'>
  tokensPerSecond: Gauge<'pool' | 'lane'>
  rolloutWeight: Gauge<'model' | 'version'>
  rolloutMoves: Counter<'model' | 'move'>
  oldestWaitingSeconds: Gauge
  planningSeconds: Histogram
  linesPlanned: Counter
  identicalPlanned: Counter
  expectedShare: Histogram<'order'>
  finaliseSeconds: Histogram
  judged: Counter<'verdict'>
  judgeScores: Histogram<'criterion'>
  qualityAlerts: Counter
}

/** Creates the metrics. Call once per registry. */
export function makeSchedulerMetrics(registry: Registry): SchedulerMetrics {
  const registers = [registry]
  const lane = ['pool', 'lane'] as const
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name: `forebay_${name}`, help, labelNames, registers })
  return {
    batches: gauge('batches', 'Batches that are not at their end', ['status']),
    chunksReleased: new Counter({
      name: 'forebay_chunks_released_total',
      help: 'Chunks sent to a queue, by why: first, returned, silent, unseen, moved',
      labelNames: [...lane, 'reason'],
      registers,
    }),
    sendFailures: new Counter({
      name: 'forebay_chunk_send_failures_total',
      help: 'Chunks that the queue did not take; they are released again',
      labelNames: lane,
      registers,
    }),
    windowTokens: gauge('release_window_tokens', 'Estimated tokens that may be on the queue at once', lane),
    outstandingTokens: gauge('outstanding_tokens', 'Estimated tokens released and not done', lane),
    outstandingChunks: gauge('outstanding_chunks', 'Chunks released and not done', lane),
    tokensPerSecond: gauge('pool_tokens_per_second', 'Estimated tokens of batches done a second', lane),
    oldestWaitingSeconds: gauge('oldest_waiting_chunk_seconds', 'How long the oldest unreleased chunk has waited', []),
    planningSeconds: new Histogram({
      name: 'forebay_planning_seconds',
      help: 'Validating and planning one batch',
      buckets: [0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120],
      registers,
    }),
    linesPlanned: new Counter({ name: 'forebay_lines_planned_total', help: 'Requests planned', registers }),
    identicalPlanned: new Counter({
      name: 'forebay_identical_lines_planned_total',
      help: 'Requests planned to get the answer of an identical one',
      registers,
    }),
    expectedShare: new Histogram<'order'>({
      name: 'forebay_expected_cached_share',
      help: 'Share of its prompt tokens that a prefix cache is expected to find, of each batch planned: in the order of the plan, and of the file',
      labelNames: ['order'],
      buckets: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
      registers,
    }),
    rolloutWeight: new Gauge({
      name: 'forebay_rollout_weight',
      help: 'Per cent of the requests that go to a version that is being rolled out',
      labelNames: ['model', 'version'],
      registers,
    }),
    rolloutMoves: new Counter({
      name: 'forebay_rollout_moves_total',
      help: 'Moves that rollouts made by themselves: step, promote, roll_back',
      labelNames: ['model', 'move'],
      registers,
    }),
    judged: new Counter({
      name: 'forebay_judged_answers_total',
      help: 'Batch answers given to the judge model, by what came of it: good, flagged, unscored',
      labelNames: ['verdict'],
      registers,
    }),
    judgeScores: new Histogram<'criterion'>({
      name: 'forebay_judge_scores',
      help: 'Scores of batch answers by the judge model, from 1 to 5, by criterion',
      labelNames: ['criterion'],
      buckets: [1, 2, 3, 4, 5],
      registers,
    }),
    qualityAlerts: new Counter({
      name: 'forebay_quality_alerts_total',
      help: 'Batches of whose judged answers a large part was flagged',
      registers,
    }),
    finaliseSeconds: new Histogram({
      name: 'forebay_finalise_seconds',
      help: 'Writing the files of one batch',
      buckets: [0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300],
      registers,
    }),
  }
}
