import type { Clock } from '@forebay/kernel'
import cliProgress from 'cli-progress'
import type { Output } from './output.ts'

const plainEveryMs = 5_000

/** A bar on a terminal; lines now and then where nobody watches; nothing with --json. */
export interface Progress {
  /** Says how far it is. `total` 0: not known yet. */
  update(done: number, total: number, note?: string): void
  /** Clears the bar; idempotent. */
  stop(): void
}

/** Starts showing progress on stderr. `show` words a number of whatever is counted. */
export function startProgress(options: {
  out: Output
  clock: Clock
  label: string
  show: (value: number) => string
}): Progress {
  const { out, label, show } = options
  if (out.json) return { update: () => {}, stop: () => {} }
  return out.stderr.isTTY ? startBar(out, label, show) : startLines(options)
}

function startBar(out: Output, label: string, show: (value: number) => string): Progress {
  const bar = new cliProgress.SingleBar({
    format: `${label} {bar} {percentage}% {shown} {note}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    // What the line says beside the bar is worth more than the bar.
    barsize: Math.max(8, Math.min(30, (out.stderr.columns ?? 80) - label.length - 36)),
    stream: out.stderr,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
  })
  let running = false
  return {
    update: (done, total, note = '') => {
      const payload = { shown: total > 0 ? `${show(done)}/${show(total)}` : '', note }
      if (!running) bar.start(Math.max(1, total), done, payload)
      running = true
      bar.setTotal(Math.max(1, total))
      bar.update(done, payload)
    },
    stop: () => {
      if (running) bar.stop()
      running = false
    },
  }
}

function startLines(options: { out: Output; clock: Clock; label: string; show: (value: number) => string }): Progress {
  const { out, clock, label, show } = options
  let last: { atMs: number; line: string; note: string } | undefined
  return {
    update: (done, total, note = '') => {
      const line = [label, total > 0 ? `${show(done)}/${show(total)}` : '', note].filter(Boolean).join(' ')
      // A new state is said at once, a new count only now and then.
      const due = !last || (last.line !== line && (last.note !== note || clock.now() - last.atMs >= plainEveryMs))
      if (!due) return
      out.note(line)
      last = { atMs: clock.now(), line, note }
    },
    stop: () => {},
  }
}
