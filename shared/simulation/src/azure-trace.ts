import { ForebayError } from '@forebay/kernel'
import type { SimRequest } from './workload.ts'

const columns = ['timestamp', 'contexttokens', 'generatedtokens'] as const

/**
 * Reads a trace in the format of the Azure LLM inference traces: a CSV with the columns TIMESTAMP, ContextTokens and
 * GeneratedTokens, in order of time. Its requests become live requests, from the first one's time on. Throws
 * `invalid_value` naming the line that is none.
 */
export function readAzureTrace(csv: string): SimRequest[] {
  const [header = '', ...rows] = csv.replace(/^\ufeff/, '').split(/\r?\n/)
  const names = header.split(',').map((name) => name.trim().toLowerCase())
  const [time = -1, prompt = -1, output = -1] = columns.map((name) => names.indexOf(name))
  if (Math.min(time, prompt, output) < 0) {
    throw new ForebayError(
      'invalid_value',
      'The trace has not the columns TIMESTAMP, ContextTokens and GeneratedTokens.',
    )
  }
  let startMs: number | undefined
  const requests = rows.flatMap((row, i): SimRequest[] => {
    if (row.trim() === '') return []
    const cells = row.split(',')
    const cameMs = parseTime(cells[time] ?? '')
    const [promptTokens, outputTokens] = [Number(cells[prompt]), Number(cells[output])]
    if (![cameMs, promptTokens, outputTokens].every((value) => Number.isFinite(value) && value >= 0)) {
      throw new ForebayError('invalid_value', `Line ${i + 2} of the trace is no request: ${row.slice(0, 80)}`)
    }
    startMs ??= cameMs
    const tokens = { promptTokens: Math.max(1, promptTokens), outputTokens: Math.max(1, outputTokens) }
    const id = `live-${i + 1}`
    const atMs = Math.max(0, cameMs - startMs)
    return [
      { id, lane: 'realtime', atMs, ...tokens, outputTokensMax: tokens.outputTokens, prefixGroup: 0, prefixTokens: 0 },
    ]
  })
  return requests.sort((a, b) => a.atMs - b.atMs)
}

/** `2023-11-16 18:15:46.6805900`, in milliseconds; NaN when it is no time. */
function parseTime(text: string): number {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?/.exec(text.trim())
  return match ? Date.parse(`${match[1]}T${match[2]}Z`) + Number(match[3] ?? 0) * 1000 : Number.NaN
}
