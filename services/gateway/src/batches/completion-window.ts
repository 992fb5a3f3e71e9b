const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const windowMsMax = 30 * unitMs.d

/** Milliseconds of a completion window: OpenAI's `24h`, or any `<n>m`, `<n>h` or `<n>d` from a minute to 30 days. Undefined for others. */
export function parseCompletionWindow(text: string): number | undefined {
  const match = /^([1-9]\d{0,5})([mhd])$/.exec(text)
  if (!match) return undefined
  const ms = Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
  return ms <= windowMsMax ? ms : undefined
}
