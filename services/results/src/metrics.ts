import { Counter, Gauge, Histogram, type Registry } from '@forebay/kernel'
import type { CommitSummary } from './commit-events.ts'
import { makeCommittedSums, tokenTypes } from './committed-sums.ts'
import { measuresOf, type QualityThresholds } from './write-quality.ts'

/** The metrics of the results service. */
export interface ResultsMetrics {
  /** Counts what one transaction committed. */
  committed(summary: CommitSummary, events: number, quality: QualityThresholds): void
  /** Notes how long a group of events took to commit. */
  groupSeconds(seconds: number): void
  /** Notes how old an event is once committed. */
  lagSeconds(seconds: number): void
  rejected(): void
  /** Notes what recomputing the ledger found. */
  drift(nano: number, unmatched: number): void
  /** Counts entries of the audit log put into blocks. */
  sealed(entries: number): void
}

/** Registers the metrics. */
export function makeResultsMetrics(registry: Registry): ResultsMetrics {
  const registers = [registry]
  const requests = new Counter({
    name: 'forebay_requests_committed_total',
    help: 'Requests whose result was committed.',
    labelNames: ['outcome', 'lane', 'model'],
    registers,
  })
  const tokens = new Counter({
    name: 'forebay_tokens_committed_total',
    help: 'Tokens of committed requests; cached is a part of prompt, reasoning a part of completion.',
    labelNames: ['type', 'lane', 'model'],
    registers,
  })
  const prefix = new Counter({
    name: 'forebay_prefix_cache_tokens_total',
    help: 'Prompt tokens of requests whose engine told of its prefix cache, by whether it found them there: yes or no.',
    labelNames: ['found', 'lane', 'model'],
    registers,
  })
  const ledger = new Counter({
    name: 'forebay_ledger_nano_total',
    help: 'Amounts written to the ledger, in nano-units of the currency.',
    labelNames: ['currency', 'lane', 'model'],
    registers,
  })
  const wasted = new Counter({
    name: 'forebay_results_wasted_total',
    help: 'Results that were not committed: another attempt was first (duplicate), or the batch was closed.',
    labelNames: ['reason'],
    registers,
  })
  const repetition = new Histogram({
    name: 'forebay_answer_repetition',
    help: "Share of a batch answer's runs of four words that stood in it before, of answers of 16 words and more.",
    labelNames: ['model'],
    buckets: [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9],
    registers,
  })
  const perplexity = new Histogram({
    name: 'forebay_answer_perplexity',
    help: "Perplexity of batch answers to their model, of those that carry their tokens' log probabilities.",
    labelNames: ['model'],
    buckets: [1.1, 1.5, 2, 3, 5, 10, 20, 50, 100, 1_000],
    registers,
  })
  const over = new Counter({
    name: 'forebay_answers_over_threshold_total',
    help: 'Batch answers beyond the threshold of a measure: repetition, perplexity.',
    labelNames: ['measure', 'model'],
    registers,
  })
  const measures = { repetition, perplexity }
  const rejected = new Counter({
    name: 'forebay_result_events_rejected_total',
    help: 'Result events that could not be committed and were dead-lettered.',
    registers,
  })
  const drift = new Gauge({
    name: 'forebay_ledger_drift_nano',
    help: 'Difference between the ledger and its recomputation from raw usage, in nano-units; 0 when all is right.',
    registers,
  })
  const unmatched = new Gauge({
    name: 'forebay_ledger_unmatched_entries',
    help: 'Charged requests without a ledger entry, and entries without such a request, at the last recomputation.',
    registers,
  })
  const sealed = new Counter({
    name: 'forebay_audit_sealed_total',
    help: 'Rows and events of the audit log put into blocks of the hash chains.',
    registers,
  })
  const seconds = new Histogram({
    name: 'forebay_results_transaction_seconds',
    help: 'Time to commit a group of result events.',
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const perTransaction = new Histogram({
    name: 'forebay_results_events_per_transaction',
    help: 'Result events committed by one transaction.',
    buckets: [1, 2, 4, 8, 16, 32],
    registers,
  })
  const lag = new Histogram({
    name: 'forebay_results_lag_seconds',
    help: 'Age of a result event when it was committed, by the clocks of sender and receiver.',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  })
  return {
    committed: (summary, events, quality) => {
      perTransaction.observe(events)
      for (const reason of summary.wasted) wasted.inc({ reason })
      // Counters find their labels slowly: what is counted alike is summed up first.
      const sums = makeCommittedSums()
      for (const one of summary.committed) {
        const { model } = one.arrival
        for (const { measure, value } of measuresOf(one)) {
          measures[measure].observe({ model }, value)
          if (value > quality[measure]) over.inc({ measure, model })
        }
        sums.add(one)
      }
      for (const { labels, ...sum } of sums.groups()) {
        const { currency, lane, model, outcome } = labels
        requests.inc({ outcome, lane, model }, sum.requests)
        for (const type of tokenTypes) tokens.inc({ type, lane, model }, sum[type])
        if (sum.cacheTold > 0) {
          prefix.inc({ found: 'yes', lane, model }, sum.found)
          prefix.inc({ found: 'no', lane, model }, sum.notFound)
        }
        if (currency !== undefined) ledger.inc({ currency, lane, model }, sum.amountNano)
      }
    },
    groupSeconds: (value) => seconds.observe(value),
    lagSeconds: (value) => lag.observe(Math.max(0, value)),
    sealed: (entries) => sealed.inc(entries),
    rejected: () => rejected.inc(),
    drift: (nano, count) => {
      drift.set(nano)
      unmatched.set(count)
    },
  }
}
