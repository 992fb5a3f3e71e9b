import type { Clock } from '@forebay/kernel'
import { sameWindow, spareShare, type TakeFromWindows } from './window.ts'

interface Count {
  used: number
  endsMs: number
}

// So many, and those whose window has ended are looked for.
const manyKeys = 10_000

/** Counts in this process, as `takeInRedis` does there. */
export function takeInMemory(clock: Clock): TakeFromWindows {
  const counts = new Map<string, Count>()
  const forgetEnded = (nowMs: number) => {
    for (const [name, { endsMs }] of counts) if (nowMs >= endsMs) counts.delete(name)
  }
  return async (key, asks) => {
    const nowMs = clock.now()
    if (counts.size >= manyKeys) forgetEnded(nowMs)
    const windows = asks.map((ask) => {
      const name = `${ask.window} ${key}`
      const known = counts.get(name)
      const count = known && nowMs < known.endsMs ? known : undefined
      const owed = ask.owed < 0 && !(count && sameWindow(count.endsMs, ask.of)) ? 0 : ask.owed
      return { ask, name, owed, used: count?.used ?? 0, endsMs: count?.endsMs ?? nowMs + ask.lengthMs }
    })
    const room = windows.every(({ ask, owed, used }) => ask.need <= 0 || used + owed + ask.need <= ask.limit)
    return windows.map(({ ask, endsMs, name, owed, used: before }) => {
      const rest = ask.limit - before - owed - ask.need
      const spare = Math.max(0, Math.min(ask.spare, Math.floor(rest / spareShare)))
      const granted = room ? ask.need + spare : 0
      const used = before + owed + granted
      if (used !== before) counts.set(name, { used, endsMs })
      return { granted, used, resetMs: endsMs - nowMs, window: endsMs }
    })
  }
}
