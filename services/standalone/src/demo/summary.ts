import { createColors } from 'picocolors'
import type { Latency } from './live-load.ts'

/** What the demo found. All counts are of the batch; latencies are times to the first token of the live requests. */
export interface Summary {
  requests: number
  completed: number
  failed: number
  /** custom_ids of the input that neither result file holds. */
  lost: number
  /** custom_ids that the result files hold more than once. */
  doubled: number
  tokens: number
  costNano: number
  costByTenant: { tenant: string; costNano: number }[]
  webhookVerified: boolean
  live: { alone: Latency; beside: Latency }
  seconds: number
  results: string[]
  engine: string
}

/** True when every line came back once, none failed, and the webhook's signature was good. */
export function isGood(summary: Summary): boolean {
  return (
    summary.lost === 0 &&
    summary.doubled === 0 &&
    summary.failed === 0 &&
    summary.completed === summary.requests &&
    summary.webhookVerified
  )
}

export function renderSummary(summary: Summary, options: { color: boolean }): string {
  const { bold, dim, green, red } = createColors(options.color)
  const mark = (good: boolean, text: string) => (good ? green(text) : red(text))
  const latency = ({ p50Ms, p99Ms }: Latency) =>
    `p50 ${p50Ms.toFixed(0).padStart(5)} ms   p99 ${p99Ms.toFixed(0).padStart(5)} ms`
  const rows = [
    [
      'batch',
      `${summary.requests} requests, ${mark(summary.completed === summary.requests, `${summary.completed} completed`)}, ${mark(summary.failed === 0, `${summary.failed} failed`)}, ${mark(summary.lost === 0, `${summary.lost} lost`)}, ${mark(summary.doubled === 0, `${summary.doubled} doubled`)} in ${summary.seconds.toFixed(1)} s`,
    ],
    [
      'tokens',
      `${summary.tokens.toLocaleString('en')}  (${Math.round(summary.tokens / summary.seconds).toLocaleString('en')} a second)`,
    ],
    ...summary.costByTenant.map(({ tenant, costNano }) => ['cost', `${dollars(costNano)}  tenant ${tenant}`]),
    [
      'webhook',
      mark(
        summary.webhookVerified,
        summary.webhookVerified ? 'batch.completed received, signature good' : 'not received',
      ),
    ],
    ['live alone', `${latency(summary.live.alone)}   ${dim('to the first token')}`],
    ['live beside', `${latency(summary.live.beside)}   ${dim('while the batch ran')}`],
    ...summary.results.map((path) => ['results', path]),
    ['engine', dim(summary.engine)],
  ]
  return `\n${bold('Summary')}\n${rows.map(([name = '', text = '']) => `  ${name.padEnd(12)}${text}\n`).join('')}`
}

function dollars(nano: number): string {
  return `$${(nano / 1e9).toFixed(6)}`
}
