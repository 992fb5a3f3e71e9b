import { MultiBar } from 'cli-progress'

export interface Bar {
  set(value: number, note: string): void
}

export interface Bars {
  add(name: string, total: number): Bar
  stop(): void
}

/** Progress bars on a terminal; elsewhere one plain line for every tenth of the way. */
export function makeBars(options: { enabled: boolean; say: (text: string) => void }): Bars {
  if (!options.enabled) return { add: (name, total) => plainBar(name, total, options.say), stop: () => {} }
  const bars = new MultiBar({
    stream: process.stderr,
    format: '  {name} [{bar}] {value}/{total} {note}',
    barsize: 32,
    hideCursor: true,
    barCompleteChar: '#',
    barIncompleteChar: '.',
  })
  return {
    add: (name, total) => {
      const bar = bars.create(total, 0, { name: name.padEnd(10), note: '' })
      return { set: (value, note) => bar.update(Math.min(value, total), { note }) }
    },
    stop: () => bars.stop(),
  }
}

function plainBar(name: string, total: number, say: (text: string) => void): Bar {
  let tenth = 0
  return {
    set: (value, note) => {
      const now = Math.floor((10 * value) / Math.max(1, total))
      if (now <= tenth) return
      tenth = now
      say(`  ${name} ${value}/${total}${note ? ` (${note})` : ''}\n`)
    },
  }
}
